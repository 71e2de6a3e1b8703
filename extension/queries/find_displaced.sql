-- Finds the oldest of the running and waiting executions that count under key $2 of limit $1 now ($3): as many as exceed
-- the limit, at most 100, and not in parts of other servers; and the newest, which is never one of them. Those that are
-- already stopping do not count.
WITH counted AS MATERIALIZED (
  SELECT w.id, w.created
  FROM workflow.limit_key k
  JOIN workflow.limit_slot s ON s.key = k.id AND s.task < 0
  CROSS JOIN LATERAL (
    SELECT n.id, n.created FROM workflow.workflow_execution n
    WHERE n.part = (-s.task >> 48)::int AND n.id = -s.task AND n.status = 'running' OFFSET 0) AS w
  WHERE k.limit_name = $1 AND k.key = $2
  UNION ALL
  SELECT w.id, w.created
  FROM workflow.workflow_definition f
  JOIN workflow.workflow_execution w ON w.workflow_def = f.id
  WHERE f.ref = pg_catalog.substr($1, 2) AND w.concurrency_key = $2 AND w.limit_place <= $3 AND w.status = 'running'),
ranked AS (
  SELECT c.id, c.created, pg_catalog.row_number() OVER (ORDER BY c.created, c.id) AS number,
    pg_catalog.first_value(c.id) OVER (ORDER BY c.created DESC, c.id DESC) AS newest
  FROM counted c)
SELECT r.id, r.newest FROM ranked r
WHERE r.number <= (SELECT pg_catalog.count(*) FROM counted) - (SELECT l.max_running FROM workflow.limit_rule l WHERE l.name = $1)
  AND r.id <> r.newest AND (r.id >> 48)::int <> ALL (workflow.foreign_parts())
ORDER BY r.created, r.id
LIMIT 100
