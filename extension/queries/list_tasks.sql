-- Returns the tasks of executions of a part with their status.
SELECT t.workflow_execution, t.id, t.task_name, t.route, t.visit,
       CASE WHEN t.status = 'completed' THEN CASE WHEN t.skipped THEN 0 ELSE 1 END
            WHEN t.status = 'cancelled' THEN 2
            WHEN t.status IN ('failed', 'timeout', 'abandoned') THEN 3
            ELSE 4 END
FROM workflow.workflow_task_execution t
WHERE t.part = $1 AND t.workflow_execution = ANY ($2)
