-- Returns up to $2 executions that have these attributes ($1), in no particular order.
SELECT w.created, w.id FROM workflow.workflow_execution w
WHERE w.attributes @> $1 AND w.attributes IS NOT NULL
LIMIT $2
