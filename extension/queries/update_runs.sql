-- Updates the conductor's state for executions and, for those that end, the lists of their tasks. If one continues
-- after its end ($2), old errors are discarded.
UPDATE workflow.workflow_execution w
SET status = d.status, paused = d.paused, pause_reason = CASE WHEN d.paused THEN w.pause_reason END, state = d.state,
    variables = coalesce(d.variables, w.variables),
    error_message = CASE WHEN $2 THEN d.error_message ELSE coalesce(w.error_message, d.error_message) END,
    errors = CASE WHEN d.errors IS NULL AND NOT $2 THEN w.errors
                  ELSE workflow.add_errors(CASE WHEN NOT $2 THEN w.errors END, d.errors, $1) END,
    current_tasks = coalesce(d.current_tasks, w.current_tasks), completed_tasks = coalesce(d.completed_tasks, w.completed_tasks),
    failed_tasks = coalesce(d.failed_tasks, w.failed_tasks), skipped_tasks = coalesce(d.skipped_tasks, w.skipped_tasks),
    -- An execution that stops no longer has a time limit; what the next tick has to do about it stays due.
    due_at = CASE WHEN $2 AND d.status = 'running' AND d.current_tasks IS NULL THEN d.due_at
                  WHEN d.current_tasks IS NULL AND (d.status = 'running' OR w.due_at <= $1) THEN w.due_at END,
    due_in = CASE WHEN d.paused THEN w.due_in END, updated = $1,
    had_failure = w.had_failure OR d.status NOT IN ('running', 'completed') OR coalesce(d.failed_tasks <> '{}', false)
FROM rows AS d
WHERE w.part = (d.id >> 48)::int AND w.id = d.id
