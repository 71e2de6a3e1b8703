-- Handles requests to check keys of limits ($2), or to count the running tasks of their limits, for up to $1 of each. A
-- request stays if someone else has locked its key or limit, or if a session in an open transaction relies on the
-- request and has therefore added none of its own: such a key is checked once a second until that transaction ends.
WITH asked AS MATERIALIZED (
  SELECT DISTINCT w.recount, w.limit_name, w.key FROM workflow.limit_wakeup w),
locked_key AS MATERIALIZED (
  SELECT k.id, k.limit_name, k.key FROM workflow.limit_key k
  WHERE (k.limit_name, k.key) IN (SELECT a.limit_name, a.key FROM asked a WHERE NOT a.recount)
  ORDER BY k.id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED),
locked_rule AS MATERIALIZED (
  SELECT r.name FROM workflow.limit_rule r WHERE r.name IN (SELECT a.limit_name FROM asked a WHERE a.recount)
  ORDER BY r.name LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED),
met AS MATERIALIZED (
  SELECT w.id, w.recount, w.limit_name, w.key FROM workflow.limit_wakeup w
  WHERE CASE
    WHEN w.recount THEN EXISTS (SELECT FROM locked_rule l WHERE l.name = w.limit_name)
      OR NOT EXISTS (SELECT FROM workflow.limit_rule r WHERE r.name = w.limit_name)
    ELSE EXISTS (SELECT FROM locked_key l WHERE l.limit_name = w.limit_name AND l.key = w.key)
      OR NOT EXISTS (SELECT FROM workflow.limit_key k WHERE k.limit_name = w.limit_name AND k.key = w.key) END
  FOR UPDATE SKIP LOCKED),
woken AS (
  UPDATE workflow.limit_key k SET check_at = $2 FROM locked_key l
  WHERE k.id = l.id AND k.check_at > $2 AND (k.updated <= $2 - interval '1 second'
    OR EXISTS (SELECT FROM met m WHERE NOT m.recount AND m.limit_name = l.limit_name AND m.key = l.key))),
counted AS (
  UPDATE workflow.limit_rule r SET count_from = '0' FROM locked_rule l
  WHERE r.name = l.name AND r.max_running IS NOT NULL AND EXISTS (SELECT FROM met m WHERE m.recount AND m.limit_name = l.name))
DELETE FROM workflow.limit_wakeup w USING met m WHERE w.id = m.id
