-- Leaves completed tasks to whoever locks their workflow executions next, in the order in which they were reported. The
-- order of calls is determined by the server's clock, even if the engine's clock stands still in a test.
INSERT INTO workflow.pending_report (part, workflow_execution, task, place, role, created)
SELECT (d.task >> 48)::int, d.run, d.task, c.microseconds + d.place, $4, $3
FROM (SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::bigint AS microseconds) AS c,
  ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) WITH ORDINALITY AS d(task, run, place)
