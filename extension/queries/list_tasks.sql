-- The tasks of executions by how they stand, the oldest first.
SELECT t.workflow_execution, t.task_name, t.route, t.visit,
       CASE WHEN t.status = 'completed' THEN CASE WHEN t.skipped THEN 0 ELSE 1 END
            WHEN t.status = 'cancelled' THEN 2
            WHEN t.status IN ('failed', 'timeout', 'abandoned') THEN 3
            ELSE 4 END
FROM unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.workflow_execution = d.id
ORDER BY t.workflow_execution, t.id
