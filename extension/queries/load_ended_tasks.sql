-- The runs of tasks of an execution: name, route and visit, context, how many items, how many of them succeeded, and whether
-- the engine ended it at once.
SELECT t.task_name, t.route, t.visit, min(t.context::text), count(t.task_index)::int,
       (count(t.task_index) FILTER (WHERE t.status = 'completed'))::int, bool_or(t.action_ref IS NULL AND t.signal IS NULL)
FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1
GROUP BY t.task_name, t.route, t.visit
ORDER BY max(t.id)
