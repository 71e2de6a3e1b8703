-- Updates the status and result of one execution that ends, or that continues after its end.
UPDATE workflow.execution e SET status = $3::text::workflow.execution_status, result = $4, updated = $5
WHERE e.part = $1 AND e.id = $2
