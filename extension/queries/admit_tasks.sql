-- Puts the first tasks of each action that wait for keys of limits ($1; up to $2 tasks each) back into the queue,
-- skipping those that others have locked. The engine continues calls at the next tick. Returns one row per task: the
-- key, the task, and its action unless it is a call.
WITH RECURSIVE actions AS (
  SELECT d.key, d.count, 1 AS number,
    (SELECT t.action_ref FROM workflow.workflow_task_execution t WHERE t.limit_key = d.key ORDER BY t.action_ref LIMIT 1) AS action_ref
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(key, count)
  UNION ALL
  SELECT a.key, a.count, a.number + 1,
    (SELECT t.action_ref FROM workflow.workflow_task_execution t
     WHERE t.limit_key = a.key AND t.action_ref > a.action_ref ORDER BY t.action_ref LIMIT 1)
  FROM actions a WHERE a.action_ref IS NOT NULL AND a.number < 1000),
first AS MATERIALIZED (
  SELECT a.key, t.part, t.id
  FROM actions a
  CROSS JOIN LATERAL (
    SELECT n.part, n.id FROM workflow.workflow_task_execution n
    WHERE n.limit_key = a.key AND n.action_ref = a.action_ref
    ORDER BY n.limit_place, n.id LIMIT a.count
    FOR NO KEY UPDATE SKIP LOCKED) AS t
  WHERE a.action_ref IS NOT NULL)
UPDATE workflow.workflow_task_execution t
SET limit_key = NULL, queue_at = CASE WHEN NOT t.calls THEN t.limit_place END, due_at = CASE WHEN t.calls THEN $3 END, updated = $3
FROM first WHERE t.part = first.part AND t.id = first.id
RETURNING first.key, t.id, CASE WHEN NOT t.calls THEN t.action_ref END
