-- Finds those of the tasks ($1) whose workflows are among the held ones ($2), each with the key at which it waits for
-- the hold to end: locked, and due for a check at that time. A key that nobody waited for is checked a second later:
-- someone may be releasing it just now. Keys that someone else has locked are left out.
WITH held AS MATERIALIZED (
  SELECT t.id, w.ref
  FROM pg_catalog.unnest($1::bigint[]) AS o(id)
  CROSS JOIN LATERAL (
    SELECT t.id, t.part, t.workflow_execution FROM workflow.workflow_task_execution t WHERE t.part = (o.id >> 48)::int AND t.id = o.id OFFSET 0) AS t
  CROSS JOIN LATERAL (
    SELECT d.ref FROM workflow.workflow_execution e JOIN workflow.workflow_definition d ON d.id = e.workflow_def
    WHERE e.part = t.part AND e.id = t.workflow_execution OFFSET 0) AS w
  WHERE w.ref = ANY ($2)),
locked AS MATERIALIZED (
  SELECT k.id, k.key FROM workflow.limit_key k
  WHERE k.limit_name = '@workflow' AND k.key IN (SELECT held.ref FROM held)
  FOR NO KEY UPDATE SKIP LOCKED),
noted AS (
  UPDATE workflow.limit_key k
  SET check_at = least(coalesce(k.check_at, $3 + interval '1 second'),
        (SELECT pg_catalog.max(h.until) FROM workflow.hold h WHERE h.target = 'workflow' AND h.name = k.key AND h.key = '' AND h.until > $3)),
      waiting_since = coalesce(k.waiting_since, $3), idle_by = NULL, idle_xid = NULL, updated = $3
  FROM locked WHERE k.id = locked.id)
SELECT held.id, locked.id FROM held LEFT JOIN locked ON locked.key = held.ref
