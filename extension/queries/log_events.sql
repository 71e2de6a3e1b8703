-- Writes events in the given order: about rows, by id; about newly inserted rows, by name, route, visit and item; about
-- tasks, by name alone; about workflow executions. The reporting role ($13) is NULL if no worker reports: for a lost
-- task, the event names the role that the worker claimed as. Pending reports have a role of their own ($14).
WITH new_event AS MATERIALIZED (
  SELECT * FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::text[]),
      pg_catalog.unnest($4::int[]), pg_catalog.unnest($5::int[]), pg_catalog.unnest($6::int[]), pg_catalog.unnest($7::text[]),
      pg_catalog.unnest($8::text[]), pg_catalog.unnest($9::jsonb[]), pg_catalog.unnest($12::text[]),
      pg_catalog.unnest($14::text[]))
    WITH ORDINALITY AS n(task, run, task_name, route, visit, task_index, kind, message, error, worker, role, place)),
-- Read once: otherwise, looking up the rows of 10,000 items would read them 10,000 times.
fresh AS MATERIALIZED (
  SELECT t.part, t.id, t.workflow_execution, t.task_name, t.route, t.visit, coalesce(t.task_index, -1) AS item, t.lease, t.attempt, t.label
  FROM workflow.workflow_task_execution t
  WHERE (t.part, t.workflow_execution) IN (SELECT (n.run >> 48)::int, n.run FROM new_event n WHERE n.route IS NOT NULL)
    AND t.created = $11),
known AS (
  SELECT n.place, t.workflow_execution AS run, t.id AS task, t.task_name, t.task_index, t.part, t.lease,
    pg_catalog.jsonb_build_object('attempt', t.attempt, 'type', pg_catalog.left(n.error ->> 'type', 100), 'next_retry_at', t.next_retry_at, 'label', t.label) AS detail
  FROM new_event n JOIN workflow.workflow_task_execution t ON t.part = (n.task >> 48)::int AND t.id = n.task
  UNION ALL
  SELECT n.place, n.run, f.id, n.task_name, n.task_index, f.part, f.lease, pg_catalog.jsonb_build_object('attempt', f.attempt, 'label', f.label)
  FROM new_event n
  LEFT JOIN fresh f ON f.workflow_execution = n.run AND f.task_name = n.task_name AND f.route = n.route
    AND f.visit = n.visit AND f.item = coalesce(n.task_index, -1)
  WHERE n.task IS NULL),
-- workflow_search finds it by this.
marked AS (
  UPDATE workflow.workflow_execution w SET had_failure = true
  FROM known k JOIN new_event n ON n.place = k.place
  WHERE w.part = (k.run >> 48)::int AND w.id = k.run AND NOT w.had_failure AND n.kind IN ('failed', 'timeout', 'abandoned'))
INSERT INTO workflow.event (part, id, execution, task, task_name, task_index, kind, message, author, detail, created, updated)
SELECT (k.run >> 48)::int, (k.run >> 48) << 48 | $10 | pg_catalog.nextval('workflow.event_id_seq'), k.run, k.task, k.task_name, k.task_index, n.kind,
  pg_catalog.left(coalesce(n.message, n.error ->> 'message', n.error #>> '{}'), 1000), workflow.author_of(coalesce(n.worker, l.worker), coalesce(n.role, $13, l.role)), nullif(pg_catalog.jsonb_strip_nulls(k.detail), '{}'), $11, $11
FROM known k
JOIN new_event n ON n.place = k.place
LEFT JOIN workflow.lease l ON l.part = k.part AND l.id = k.lease
ORDER BY n.place
