-- Finds the slots of tasks ($1) that, as this batch has written, are no longer running.
SELECT s.key, s.number
FROM pg_catalog.unnest($1::bigint[]) AS d(task)
CROSS JOIN LATERAL (SELECT o.key, o.number FROM workflow.limit_slot o WHERE o.task = d.task OFFSET 0) AS s
