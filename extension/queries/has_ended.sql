-- Whether an execution has ended.
SELECT workflow.is_end(e.status) FROM workflow.execution e WHERE e.part = ($1 >> 48)::int AND e.id = $1
