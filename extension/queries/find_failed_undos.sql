-- Finds tasks with an action that have failed to undo something in executions ($1), each given with the execution that
-- undoes it ($2). Returns the task, its action and input, and the execution that undoes its own.
SELECT t.id, t.action_ref, t.input, d.undoing
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(id, undoing)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.workflow_execution = d.id
WHERE t.undoes IS NOT NULL AND t.action_ref IS NOT NULL AND NOT t.calls
  AND t.status IN ('failed', 'timeout', 'abandoned', 'cancelled')
