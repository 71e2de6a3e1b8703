-- Gives free slots, which are locked, to tasks.
UPDATE workflow.limit_slot s SET task = d.task
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::bigint[])) AS d(key, number, task)
WHERE s.key = d.key AND s.number = d.number
