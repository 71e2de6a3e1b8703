-- Records the keys under which executions count for concurrency.
UPDATE workflow.workflow_execution w SET concurrency_key = d.key
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[])) AS d(id, key)
WHERE w.part = (d.id >> 48)::int AND w.id = d.id
