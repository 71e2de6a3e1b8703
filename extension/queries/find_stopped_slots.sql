-- Finds the slots of tasks ($1) that are no longer running.
SELECT s.key, s.number
FROM pg_catalog.unnest($1::bigint[]) AS d(task)
CROSS JOIN LATERAL (
  SELECT o.key, o.number FROM workflow.limit_slot o
  WHERE o.task = d.task
    AND NOT EXISTS (SELECT FROM workflow.workflow_task_execution t WHERE t.part = (d.task >> 48)::int AND t.id = d.task AND t.status = 'running')
  OFFSET 0) AS s
