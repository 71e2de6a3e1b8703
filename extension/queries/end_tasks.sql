-- Ends rows that were reported, with what they reported.
UPDATE workflow.workflow_task_execution t
SET status = d.status, result = d.result, error = d.error, timed_out = t.timed_out OR d.status = 'timeout', due_at = NULL,
    completed_at = $2, updated = $2, duration_ms = round(date_part('epoch', $2 - t.started_at) * 1000)::bigint
FROM unnest($1) AS d
WHERE t.part = (d.task >> 48)::int AND t.id = d.task
