-- Logs that the leases of tasks have expired, with the worker that held each, and how often this has happened to the
-- task. $3: the maximum, if the task does not specify one.
INSERT INTO workflow.event (part, id, execution, task, task_name, task_index, kind, author, detail, created, updated)
SELECT t.part, workflow.make_id(t.part, pg_catalog.nextval('workflow.event_id_seq')), t.workflow_execution, t.id, t.task_name,
  t.task_index, 'lease_expired', workflow.author_of(l.worker, l.role), pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('attempt', t.attempt, 'lost_leases', t.lost_leases + 1, 'max_lost_leases', coalesce(t.max_lost_leases, $3), 'label', t.label)), $2, $2
FROM pg_catalog.unnest($1::bigint[]) AS o(id)
JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id
LEFT JOIN workflow.lease l ON l.part = t.part AND l.id = t.lease
ORDER BY t.id
