-- Inserts tasks. Those for the worker that asks are born leased: one write where a queue takes two. Tells whose action is a
-- workflow.
INSERT INTO workflow.workflow_task_execution AS t
  (part, id, workflow_execution, task_name, action_ref, signal, route, visit, task_index, task_batch, status, skipped, held,
   calls, priority, max_retries, timeout_seconds, context, input, result, created, updated, queue_at, due_at, lease, attempt,
   started_at, completed_at, duration_ms)
SELECT n.part, n.id, n.workflow_execution, n.task_name, n.action_ref, n.signal, n.route, n.visit, n.task_index, n.task_batch,
       n.status, n.skipped, n.held, EXISTS (SELECT FROM workflow.action a WHERE a.ref = n.action_ref AND a.is_workflow),
       n.priority, n.max_retries, n.timeout_seconds, n.context, n.input, n.result, n.created, n.created, n.queue_at, n.due_at,
       n.lease, n.attempt, n.started_at, n.completed_at, n.duration_ms
FROM unnest($1) AS n
RETURNING t.id, t.calls
