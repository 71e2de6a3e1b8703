-- Removes executions that are not started after all.
DELETE FROM workflow.execution e USING pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE e.part = (d.id >> 48)::int AND e.id = d.id
