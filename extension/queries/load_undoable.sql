-- Returns what is left to be undone in a workflow execution, most recently completed first: up to $3 tasks with a
-- number below $2, and those whose undo could not be rendered, with everything that it reads.
(SELECT t.id, t.task_name, t.undo_number, t.context, t.undo, t.action_ref, NULL::workflow.execution_status, NULL::jsonb, NULL::jsonb, NULL::jsonb,
   t.started_at, t.completed_at, t.attempt
 FROM workflow.workflow_task_execution t
 WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND t.undo_number < $2 AND NOT t.undo ? 'error'
 ORDER BY t.undo_number DESC LIMIT $3)
UNION ALL
(SELECT t.id, t.task_name, t.undo_number, t.context, t.undo, t.action_ref, t.status, t.input, t.result, t.error, t.started_at, t.completed_at, t.attempt
 FROM workflow.workflow_task_execution t
 WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND t.undo_number IS NOT NULL AND t.undo ? 'error'
 ORDER BY t.undo_number DESC LIMIT 10000)
