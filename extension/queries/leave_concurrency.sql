-- Makes executions that have stopped no longer wait to begin.
UPDATE workflow.workflow_execution w SET limit_key = NULL, limit_place = NULL
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
WHERE w.part = (d.id >> 48)::int AND w.id = d.id AND w.limit_place IS NOT NULL
