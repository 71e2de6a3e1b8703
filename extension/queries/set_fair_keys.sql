-- Records the keys by which executions share the queue.
UPDATE workflow.workflow_execution w SET fair_key = d.key
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[])) AS d(id, key)
WHERE w.part = (d.id >> 48)::int AND w.id = d.id
