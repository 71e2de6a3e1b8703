-- Inserts the workflow executions of executions that are starting.
-- Columns that an owner has added get their defaults.
INSERT INTO workflow.workflow_execution (
  part, depth, id, execution, workflow_def, priority, paused, created, version, due_at, attributes, traceparent, variables, task_graph,
  status, updated, current_tasks, completed_tasks, failed_tasks, skipped_tasks, state, error_message, pause_reason,
  hook_depth, concurrency_key)
SELECT
  n.part, n.depth, n.id, n.execution, n.workflow_def, n.priority, n.paused, n.created, n.version, n.due_at, n.attributes,
  n.traceparent, n.variables, n.task_graph, n.status, n.updated, n.current_tasks, n.completed_tasks, n.failed_tasks,
  n.skipped_tasks, n.state, n.error_message, n.pause_reason,
  n.hook_depth, n.concurrency_key
FROM rows AS n
