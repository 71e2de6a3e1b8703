-- Assigns a kept signal to a task.
UPDATE workflow.signal s SET task = $2, updated = $3 WHERE s.part = ($1 >> 48)::int AND s.id = $1
