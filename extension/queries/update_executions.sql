-- The outward side of executions that end, or go on after their end.
UPDATE workflow.execution e
SET status = d.status::workflow.execution_status, result = d.result::jsonb, updated = $4
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS d(id, status, result)
WHERE e.part = (d.id >> 48)::int AND e.id = d.id
