-- Inserts the workflow executions of executions that are starting.
-- All of our columns are listed, so that the rows are taken as they are; columns that an owner has added get their defaults.
INSERT INTO workflow.workflow_execution (
  part, depth, id, execution, workflow_def, priority, paused, had_failure, created, version, due_at, attributes,
  traceparent, variables, task_graph, status, updated, current_tasks, completed_tasks, failed_tasks, skipped_tasks,
  state, error_message, errors, pause_reason, propagate_after, due_in, fair_key, hook_depth, concurrency_key,
  limit_key, limit_place)
SELECT
  n.part, n.depth, n.id, n.execution, n.workflow_def, n.priority, n.paused, n.had_failure, n.created, n.version,
  n.due_at, n.attributes, n.traceparent, n.variables, n.task_graph, n.status, n.updated, n.current_tasks,
  n.completed_tasks, n.failed_tasks, n.skipped_tasks, n.state, n.error_message, n.errors, n.pause_reason,
  n.propagate_after, n.due_in, n.fair_key, n.hook_depth, n.concurrency_key, n.limit_key, n.limit_place
FROM rows AS n
