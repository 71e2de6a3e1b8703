-- Holds all limits of tasks ($1), or their actions if they have none, until a time ($2), unless they are already held
-- that long.
INSERT INTO workflow.hold (target, name, key, until, reason, author, created, updated)
SELECT DISTINCT ON (h.target, h.name, h.key) h.target, h.name, h.key, h.until, h.reason, h.author, $3, $3
FROM (
  SELECT h.target, h.name, h.key, d.until, pg_catalog.left(coalesce(t.error ->> 'message', t.error #>> '{}'), 500) AS reason,
    pg_catalog.format('%s (role %s)', coalesce(l.worker, 'a worker'), $4::text) AS author
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::timestamptz[])) AS d(id, until)
  CROSS JOIN LATERAL (
    SELECT t.* FROM workflow.workflow_task_execution t WHERE t.part = (d.id >> 48)::int AND t.id = d.id OFFSET 0) AS t
  LEFT JOIN workflow.lease l ON l.part = t.part AND l.id = t.lease
  CROSS JOIN LATERAL (
    SELECT 'limit' AS target, o.pair ->> 0 AS name, o.pair ->> 1 AS key FROM pg_catalog.jsonb_array_elements(t.limits) AS o(pair)
    UNION ALL
    SELECT 'action', t.action_ref, '' WHERE t.limits IS NULL AND t.action_ref IS NOT NULL) AS h) AS h
WHERE NOT EXISTS (
  SELECT FROM workflow.hold k WHERE k.target = h.target AND k.name = h.name AND k.key = h.key AND k.until >= h.until)
ORDER BY h.target, h.name, h.key, h.until DESC
