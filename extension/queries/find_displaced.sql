-- Finds the oldest of the running and waiting executions that count under key $2 of limit $1: as many as exceed the
-- limit, at most 100, and not in parts of other servers. Those that are already stopping do not count.
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
  FROM workflow.workflow_execution w
  JOIN workflow.limit_key k ON k.id = w.limit_key
  WHERE k.limit_name = $1 AND k.key = $2 AND w.status = 'running')
SELECT c.id FROM counted c
WHERE (c.id >> 48)::int <> ALL (workflow.foreign_parts())
ORDER BY c.created, c.id
LIMIT least(100, greatest(0, (SELECT pg_catalog.count(*) FROM counted)
  - (SELECT r.max_running FROM workflow.limit_rule r WHERE r.name = $1)))
