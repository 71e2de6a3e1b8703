-- Returns the actions that have queued tasks in a part, with one index probe each; NULL: nothing is queued.
WITH RECURSIVE queued AS (
  (SELECT t.action_ref FROM workflow.workflow_task_execution t
   WHERE t.part = $1 AND t.queue_at IS NOT NULL ORDER BY t.action_ref LIMIT 1)
  UNION ALL
  SELECT (SELECT t.action_ref FROM workflow.workflow_task_execution t
          WHERE t.part = $1 AND t.queue_at IS NOT NULL AND t.action_ref > q.action_ref ORDER BY t.action_ref LIMIT 1)
  FROM queued q WHERE q.action_ref IS NOT NULL)
SELECT pg_catalog.array_agg(q.action_ref) FROM queued q WHERE q.action_ref IS NOT NULL
