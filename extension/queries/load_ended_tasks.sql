-- Returns the runs of tasks of executions: name, route and visit, context, number of items, how many of them succeeded,
-- whether the engine ended the task immediately, its workflow execution, whether the task closes that, its newest row,
-- and whether any of it has completed and can be undone.
SELECT t.task_name, t.route, t.visit, pg_catalog.min(t.context::text), pg_catalog.count(t.task_index)::int,
       (pg_catalog.count(t.task_index) FILTER (WHERE t.status = 'completed'))::int, pg_catalog.bool_or(t.action_ref IS NULL AND t.signal IS NULL AND NOT t.calls),
       t.workflow_execution, pg_catalog.bool_or(t.closing), pg_catalog.max(t.id), pg_catalog.bool_or(t.undo_number IS NOT NULL AND t.status = 'completed')
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.workflow_execution = d.id
GROUP BY t.workflow_execution, t.task_name, t.route, t.visit
ORDER BY pg_catalog.max(t.id)
