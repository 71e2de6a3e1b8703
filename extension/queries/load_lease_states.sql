-- Returns the state of tasks named with tokens, in order: held, stop, or lost; and whether the task carries a different token.
SELECT n.task, CASE
    WHEN t.id IS NULL OR t.lease IS DISTINCT FROM n.token OR t.status <> 'running' THEN 'lost'
    WHEN w.status <> 'running' AND NOT t.closing AND t.undo IS NULL THEN 'stop'
    ELSE 'held' END,
  t.id IS NOT NULL AND t.lease IS DISTINCT FROM n.token
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) WITH ORDINALITY AS n(task, token, place)
LEFT JOIN LATERAL (
  SELECT o.* FROM workflow.workflow_task_execution o WHERE o.part = (n.task >> 48)::int AND o.id = n.task OFFSET 0) AS t ON true
LEFT JOIN LATERAL (
  SELECT o.status FROM workflow.workflow_execution o WHERE o.part = t.part AND o.id = t.workflow_execution OFFSET 0) AS w ON true
ORDER BY n.place
