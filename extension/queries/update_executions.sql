-- The outward side of executions that end, or go on after their end.
UPDATE workflow.execution e SET status = d.status, result = d.result, updated = $2
FROM unnest($1) AS d
WHERE e.part = (d.id >> 48)::int AND e.id = d.id
