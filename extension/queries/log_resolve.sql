-- Logs that someone has resolved a task.
INSERT INTO workflow.event (part, id, execution, task, task_name, task_index, kind, message, author, detail, created, updated)
SELECT t.part, workflow.make_id(t.part, pg_catalog.nextval('workflow.event_id_seq')), t.workflow_execution, t.id, t.task_name, t.task_index,
  'resolve', pg_catalog.left($3, 1000), workflow.name_caller(session_user::text), pg_catalog.jsonb_build_object('status', $2), $4, $4
FROM workflow.workflow_task_execution t WHERE t.part = ($1 >> 48)::int AND t.id = $1
