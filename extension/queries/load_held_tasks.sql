-- Returns the state of tasks named with tokens, in order: held, stop, or lost; and whether the task carries a different token.
SELECT n.task, CASE
    WHEN t.id IS NULL OR t.lease IS DISTINCT FROM n.token OR t.status <> 'running' THEN 'lost'
    WHEN w.status <> 'running' AND NOT t.closing AND t.undo IS NULL THEN 'stop'
    ELSE 'held' END,
  t.id IS NOT NULL AND t.lease IS DISTINCT FROM n.token
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) WITH ORDINALITY AS n(task, token, place)
LEFT JOIN workflow.workflow_task_execution t ON t.part = (n.task >> 48)::int AND t.id = n.task
LEFT JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
ORDER BY n.place
