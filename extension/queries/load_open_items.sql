-- Reads the items of some tasks of an execution, in item order.
SELECT t.task_name, t.route, t.visit, t.task_index, t.status, t.result, t.error, t.started_at, t.completed_at, t.attempt
FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[]), pg_catalog.unnest($4::int[])) AS d(task_name, route, visit)
JOIN workflow.workflow_task_execution t
  ON t.part = ($1 >> 48)::int AND t.workflow_execution = $1
 AND t.task_name = d.task_name AND t.route = d.route AND t.visit = d.visit
WHERE t.task_index IS NOT NULL
ORDER BY t.task_index
