-- Makes executions that have stopped no longer wait to begin. Only the tasks that close them remain: the next tick ($2)
-- lets these start. OFFSET forces one lookup per execution: waiting tasks look rare enough to be searched for first.
WITH waiting AS MATERIALIZED (
  SELECT o.part, o.id
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  CROSS JOIN LATERAL (
    SELECT w.part, w.id, w.limit_place FROM workflow.workflow_execution w WHERE w.part = (d.id >> 48)::int AND w.id = d.id OFFSET 0) AS o
  WHERE o.limit_place IS NOT NULL),
gone AS (
  UPDATE workflow.workflow_execution w SET limit_key = NULL, limit_place = NULL
  FROM waiting o WHERE w.part = o.part AND w.id = o.id),
delayed AS MATERIALIZED (
  SELECT n.part, n.id
  FROM waiting o
  CROSS JOIN LATERAL (
    SELECT t.part, t.id, t.status, t.due_at FROM workflow.workflow_task_execution t
    WHERE t.part = o.part AND t.workflow_execution = o.id OFFSET 0) AS n
  WHERE n.status = 'requested' AND n.due_at = 'infinity')
UPDATE workflow.workflow_task_execution t
SET due_at = $2 + coalesce(t.due_in, '0'), due_in = NULL, updated = $2
FROM delayed n
WHERE t.part = n.part AND t.id = n.id
