-- Updates the status and result of executions that end, or that continue after their end.
UPDATE workflow.execution e SET status = d.status, result = d.result, updated = $1
FROM rows AS d
WHERE e.part = (d.id >> 48)::int AND e.id = d.id
