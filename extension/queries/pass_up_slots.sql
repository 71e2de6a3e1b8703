-- Makes the next claim or tick check the keys of the limits of tasks ($1) that have left the queue without starting,
-- unless someone else has locked them: slots may have been freed for these tasks, and those behind them can have them
-- now ($2).
UPDATE workflow.limit_key k SET check_at = $2, updated = $2
FROM (
  SELECT o.id
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
  CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(t.limits) AS l(entry)
  JOIN workflow.limit_key o ON o.limit_name = l.entry ->> 0 AND o.key = l.entry ->> 1
  WHERE o.check_at > $2
  ORDER BY o.id FOR NO KEY UPDATE OF o SKIP LOCKED) AS behind
WHERE k.id = behind.id
