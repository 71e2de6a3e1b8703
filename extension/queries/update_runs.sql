-- The conductor's memory of executions, and at their end the lists of their tasks.
UPDATE workflow.workflow_execution w
SET status = d.status::workflow.execution_status, paused = d.paused,
    pause_reason = CASE WHEN d.paused THEN w.pause_reason END, state = d.state::jsonb,
    variables = coalesce(d.variables::jsonb, w.variables),
    error_message = CASE WHEN d.rerun THEN d.error ELSE coalesce(d.error, w.error_message) END,
    current_tasks = CASE WHEN d.ended THEN l.current_tasks ELSE w.current_tasks END,
    completed_tasks = CASE WHEN d.ended THEN l.completed_tasks ELSE w.completed_tasks END,
    failed_tasks = CASE WHEN d.ended THEN l.failed_tasks ELSE w.failed_tasks END,
    skipped_tasks = CASE WHEN d.ended THEN l.skipped_tasks ELSE w.skipped_tasks END,
    due_at = CASE WHEN NOT d.ended AND d.status = 'running' THEN w.due_at END,
    updated = $9
FROM unnest($1::bigint[], $2::text[], $3::bool[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::bool[])
       AS d(id, status, paused, state, variables, error, rerun, ended)
LEFT JOIN LATERAL (SELECT lists.* FROM workflow.task_lists((d.id >> 48)::int, d.id) AS lists WHERE d.ended) AS l ON true
WHERE w.part = (d.id >> 48)::int AND w.id = d.id
