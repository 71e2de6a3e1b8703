-- Reads the rows of reported tasks of a part. Their executions are locked, so the rows do not change.
SELECT t.id, t.workflow_execution, t.lease, t.task_name, t.task_index, t.route, t.visit, t.retry_count, t.max_retries, t.context,
       t.created, t.closing, t.started_at, t.attempt, t.repeat_count, t.status
FROM workflow.workflow_task_execution t
WHERE t.part = $1 AND t.id = ANY ($2)
