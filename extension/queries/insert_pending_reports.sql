-- Leaves completed tasks to whoever locks their workflow executions next, in the order in which they were reported.
INSERT INTO workflow.pending_report (part, workflow_execution, task, place, created)
SELECT (d.task >> 48)::int, d.run, d.task, d.place, $3
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) WITH ORDINALITY AS d(task, run, place)
