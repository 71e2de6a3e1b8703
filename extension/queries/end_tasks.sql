-- Ends rows that were reported, with what they reported.
UPDATE workflow.workflow_task_execution t
SET status = d.status::workflow.execution_status, result = d.result, error = d.error,
    timed_out = t.timed_out OR d.status = 'timeout', due_at = NULL, completed_at = $5, updated = $5,
    duration_ms = round(extract(epoch FROM $5 - t.started_at) * 1000)::bigint
FROM unnest($1::bigint[], $2::text[], $3::jsonb[], $4::jsonb[]) AS d(id, status, result, error)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
