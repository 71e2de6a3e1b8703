-- Finds the execution that a task belongs to.
SELECT t.workflow_execution FROM workflow.workflow_task_execution t WHERE t.part = ($1 >> 48)::int AND t.id = $1
