-- The runs of tasks of executions: name, route and visit, context, how many items, how many of them succeeded, whether the
-- engine ended it at once, and of which execution it is.
SELECT t.task_name, t.route, t.visit, min(t.context::text), count(t.task_index)::int,
       (count(t.task_index) FILTER (WHERE t.status = 'completed'))::int, bool_or(t.action_ref IS NULL AND t.signal IS NULL),
       t.workflow_execution
FROM unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.workflow_execution = d.id
GROUP BY t.workflow_execution, t.task_name, t.route, t.visit
ORDER BY max(t.id)
