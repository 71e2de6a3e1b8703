-- Records the last child that workflow executions have notified of what was done to them; NULL: all have been notified.
UPDATE workflow.workflow_execution w SET propagate_after = d.after
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(id, after)
WHERE w.part = (d.id >> 48)::int AND w.id = d.id AND w.propagate_after IS DISTINCT FROM d.after
