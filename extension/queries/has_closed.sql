-- Whether a task that closes an execution has begun.
SELECT EXISTS (SELECT FROM workflow.workflow_task_execution t
               WHERE t.part = ($1 >> 48)::int AND t.workflow_execution = $1 AND t.closing AND t.started_at IS NOT NULL)
