-- Reads a task that is to be resolved, and locks it; its workflow execution is locked. Returns no row if someone is
-- claiming or reporting the task: whoever has locked an execution does not wait for tasks.
SELECT t.status::text, t.held, t.task_name, t.task_index, t.route, t.visit, t.context, t.closing, t.skipped,
       workflow.is_end(e.status), t.started_at, t.attempt, t.undo_number IS NOT NULL, t.due_at = 'infinity'
FROM workflow.workflow_task_execution t
JOIN workflow.execution e ON e.part = t.part AND e.id = t.workflow_execution
WHERE t.part = ($1 >> 48)::int AND t.id = $1
FOR NO KEY UPDATE OF t SKIP LOCKED
