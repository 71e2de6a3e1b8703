-- Meets up to $1 requests to check keys of limits ($2), or to count the running tasks of their limits. What someone else has locked
-- stays requested.
WITH wakeup AS MATERIALIZED (
  SELECT w.id, w.recount, w.limit_name, w.key FROM workflow.limit_wakeup w ORDER BY w.id LIMIT $1 FOR UPDATE SKIP LOCKED),
locked_key AS MATERIALIZED (
  SELECT k.id, k.limit_name, k.key FROM workflow.limit_key k
  WHERE (k.limit_name, k.key) IN (SELECT w.limit_name, w.key FROM wakeup w WHERE NOT w.recount)
  ORDER BY k.id FOR NO KEY UPDATE SKIP LOCKED),
locked_rule AS MATERIALIZED (
  SELECT r.name FROM workflow.limit_rule r WHERE r.name IN (SELECT w.limit_name FROM wakeup w WHERE w.recount)
  ORDER BY r.name FOR NO KEY UPDATE SKIP LOCKED),
woken AS (
  UPDATE workflow.limit_key k SET check_at = $2 FROM locked_key l WHERE k.id = l.id AND k.check_at > $2),
counted AS (
  UPDATE workflow.limit_rule r SET count_from = '0' FROM locked_rule l WHERE r.name = l.name AND r.max_running IS NOT NULL)
DELETE FROM workflow.limit_wakeup g
USING wakeup w
WHERE g.id = w.id AND CASE
  WHEN w.recount THEN EXISTS (SELECT FROM locked_rule l WHERE l.name = w.limit_name)
    OR NOT EXISTS (SELECT FROM workflow.limit_rule r WHERE r.name = w.limit_name)
  ELSE EXISTS (SELECT FROM locked_key l WHERE l.limit_name = w.limit_name AND l.key = w.key)
    OR NOT EXISTS (SELECT FROM workflow.limit_key k WHERE k.limit_name = w.limit_name AND k.key = w.key) END
