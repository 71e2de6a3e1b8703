-- Transfers executions from the tasks that called them to the tasks that undo these ($3), which continue with them
-- under the same ref.
WITH undoing AS (
  UPDATE workflow.workflow_task_execution t SET action_ref = u.action_ref
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($3::bigint[])) AS d(id, undoing)
  JOIN workflow.workflow_task_execution u ON u.part = (d.id >> 48)::int AND u.id = d.id
  WHERE t.part = (d.undoing >> 48)::int AND t.id = d.undoing AND t.action_ref IS NULL)
UPDATE workflow.workflow_task_execution t SET execution = NULL, updated = $2
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
