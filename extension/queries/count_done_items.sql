-- Counts the completed items of a task. Their workflow execution is locked, and nobody can complete items of it without the
-- conductor knowing.
SELECT pg_catalog.count(*)::int FROM workflow.workflow_task_execution t
WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1
  AND t.task_name = $2 AND t.route = $3 AND t.visit = $4 AND t.status = 'completed'
