-- Logs one event about rejected lease tokens, on the execution of the first task ($2). Never waits: if that execution is being
-- deleted, there is nothing to attach the event to.
INSERT INTO workflow.event (part, id, execution, task, task_name, task_index, kind, author, detail, created, updated)
SELECT t.part, workflow.make_id(t.part, pg_catalog.nextval('workflow.event_id_seq')), t.workflow_execution, t.id, t.task_name, t.task_index,
  'lease_refused', coalesce(workflow.author_of($5, $6), $6), pg_catalog.jsonb_build_object('refused', $3, 'tasks', pg_catalog.to_jsonb($4::text[])), $7, $7
FROM workflow.workflow_task_execution t
JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
WHERE t.part = $1 AND t.id = $2
FOR KEY SHARE OF w SKIP LOCKED
