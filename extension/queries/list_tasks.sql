-- The tasks of executions that end, by how they ended.
SELECT l.workflow_execution, l.current_tasks, l.completed_tasks, l.failed_tasks, l.skipped_tasks
FROM workflow.task_lists($1) AS l
