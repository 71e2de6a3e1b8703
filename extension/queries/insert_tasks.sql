-- Inserts tasks. Tasks for the requesting worker are inserted already leased: one write, where the queue takes two.
-- All of our columns are listed, so that the rows are taken as they are; columns that an owner has added get their defaults.
INSERT INTO workflow.workflow_task_execution (
  part, attempt, id, workflow_execution, route, visit, priority, max_retries, retry_count, lost_leases, timed_out,
  skipped, held, calls, closing, waits, created, task_name, action_ref, execution, lease, task_index, task_batch,
  timeout_seconds, max_lost_leases, last_worker, signal, context, traceparent, input, status, updated, queue_at,
  due_at, next_retry_at, started_at, completed_at, duration_ms, result, error, progress, repeat_count, due_in, undo,
  undo_number, undoes, label, heartbeat_seconds, due_after, limits, limit_key, limit_place, fair_key)
SELECT
  n.part, n.attempt, n.id, n.workflow_execution, n.route, n.visit, n.priority, n.max_retries, n.retry_count,
  n.lost_leases, n.timed_out, n.skipped, n.held, n.calls, n.closing, n.waits, n.created, n.task_name, n.action_ref,
  n.execution, n.lease, n.task_index, n.task_batch, n.timeout_seconds, n.max_lost_leases, n.last_worker, n.signal,
  n.context, n.traceparent, n.input, n.status, n.updated, n.queue_at, n.due_at, n.next_retry_at, n.started_at,
  n.completed_at, n.duration_ms, n.result, n.error, n.progress, n.repeat_count, n.due_in, n.undo, n.undo_number,
  n.undoes, n.label, n.heartbeat_seconds, n.due_after, n.limits, n.limit_key, n.limit_place, n.fair_key
FROM rows AS n
