-- What people read: the one-word status of a task, the task lists of a workflow execution, and three views.
--
-- The engine never writes down which tasks of a workflow run or have ended while it goes on: the task rows say so, and a
-- copy would be one more write a step. Nor does it copy the graph that an execution pinned. Whatever reads a workflow
-- execution goes through workflow.readable, which fills both in.
--
-- The functions here are single SQL statements with a parsed body and no SET, so that the planner sees through them: a
-- view pays for a column only where it is asked for. A subquery stands between a table and workflow.readable because the
-- planner takes its row apart, while that of a table is put together whole, large values and all.

CREATE FUNCTION workflow.is_end(status workflow.execution_status) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN status IN ('completed', 'failed', 'cancelled', 'timeout', 'abandoned');
COMMENT ON FUNCTION workflow.is_end(workflow.execution_status) IS
  'Whether nothing more will happen to what has that status.';
REVOKE ALL ON FUNCTION workflow.is_end(workflow.execution_status) FROM PUBLIC;

CREATE FUNCTION workflow.task_summary(task workflow.workflow_task_execution) RETURNS workflow.task_status
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN (task).skipped THEN 'skipped'::workflow.task_status
  WHEN (task).status = 'completed' THEN 'completed'::workflow.task_status
  WHEN (task).status = 'cancelled' THEN 'cancelled'::workflow.task_status
  WHEN (task).status IN ('failed', 'timeout', 'abandoned') THEN 'failed'::workflow.task_status
  WHEN (task).status IN ('running', 'canceling') THEN 'running'::workflow.task_status
  WHEN (task).status IN ('requested', 'scheduling', 'scheduled') THEN 'pending'::workflow.task_status
END;
COMMENT ON FUNCTION workflow.task_summary(workflow.workflow_task_execution) IS
  'A task in one word: timeout and abandoned are failed, canceling is running, whatever has not begun is pending.';
REVOKE ALL ON FUNCTION workflow.task_summary(workflow.workflow_task_execution) FROM PUBLIC;

CREATE FUNCTION workflow.task_lists(workflow_executions bigint[])
RETURNS TABLE (workflow_execution bigint, current_tasks text[], completed_tasks text[], failed_tasks text[], skipped_tasks text[])
LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_task_lists_wrapper';
COMMENT ON FUNCTION workflow.task_lists(bigint[]) IS
  'The tasks of workflow executions by name, as their rows say: those that have not ended, have ended well, badly, or were skipped; each name once a list, in the order in which the tasks appeared. A row for each of them, whether it has tasks or not.';
REVOKE ALL ON FUNCTION workflow.task_lists(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.readable(run workflow.workflow_execution) RETURNS SETOF workflow.workflow_execution
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
  SELECT (run).part, (run).depth, (run).id, (run).execution, (run).workflow_def, (run).priority, (run).paused, (run).created,
    (run).version, (run).due_at, (run).variables,
    coalesce((run).task_graph, (SELECT v.graph FROM workflow.workflow_definition_version AS v WHERE v.id = (run).version)),
    (run).status, (run).updated,
    coalesce(list.current_tasks, (run).current_tasks), coalesce(list.completed_tasks, (run).completed_tasks),
    coalesce(list.failed_tasks, (run).failed_tasks), coalesce(list.skipped_tasks, (run).skipped_tasks),
    (run).state, (run).error_message, (run).pause_reason, (run).propagate_after
  FROM (VALUES (NULL)) AS one (row) LEFT JOIN LATERAL (
    SELECT live.* FROM workflow.task_lists(ARRAY[(run).id]) AS live
    WHERE (run).version IS NOT NULL AND NOT workflow.is_end(
      (SELECT e.status FROM workflow.execution AS e WHERE e.part = (run).part AND e.id = (run).execution))
  ) AS list ON true;
END;
COMMENT ON FUNCTION workflow.readable(workflow.workflow_execution) IS
  'A workflow execution as people read it: where the engine runs it, the task lists are those of the task rows until it ends, and task_graph is the pinned version''s where the row has none of its own.';
REVOKE ALL ON FUNCTION workflow.readable(workflow.workflow_execution) FROM PUBLIC;

CREATE VIEW workflow.workflow_execution_summary WITH (security_invoker = true) AS
SELECT w.part, w.id, w.execution, w.workflow_def,
  d.ref AS workflow_ref, d.label AS workflow_label,
  coalesce((SELECT v.definition ->> 'version' FROM workflow.workflow_definition_version AS v WHERE v.id = w.version), d.version)
    AS workflow_version,
  w.status, w.paused, w.pause_reason, w.priority,
  cardinality(r.current_tasks) AS current_task_count,
  cardinality(r.completed_tasks) AS completed_task_count,
  cardinality(r.failed_tasks) AS failed_task_count,
  cardinality(r.skipped_tasks) AS skipped_task_count,
  w.error_message, w.created, w.updated
FROM (SELECT run.* FROM workflow.workflow_execution AS run) AS w
  JOIN workflow.workflow_definition AS d ON d.id = w.workflow_def
  CROSS JOIN LATERAL workflow.readable(w::workflow.workflow_execution) AS r;
COMMENT ON VIEW workflow.workflow_execution_summary IS 'Workflow executions, with their workflow and how many tasks stand where.';
COMMENT ON COLUMN workflow.workflow_execution_summary.part IS 'Its part: id >> 48. Naming it with the id makes a look-up quick.';
COMMENT ON COLUMN workflow.workflow_execution_summary.id IS 'The workflow execution.';
COMMENT ON COLUMN workflow.workflow_execution_summary.execution IS 'The execution that it runs.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_def IS 'The definition.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_ref IS 'Its ref.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_label IS 'What people call it now.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_version IS
  'The author''s version: of the pinned definition, or the head''s where none is pinned.';
COMMENT ON COLUMN workflow.workflow_execution_summary.status IS 'The verdict so far.';
COMMENT ON COLUMN workflow.workflow_execution_summary.paused IS 'No task of it can be claimed.';
COMMENT ON COLUMN workflow.workflow_execution_summary.pause_reason IS 'Why it is paused.';
COMMENT ON COLUMN workflow.workflow_execution_summary.priority IS 'Higher goes first.';
COMMENT ON COLUMN workflow.workflow_execution_summary.current_task_count IS 'How many tasks, by name, have not ended; 0 for none.';
COMMENT ON COLUMN workflow.workflow_execution_summary.completed_task_count IS 'How many ended well.';
COMMENT ON COLUMN workflow.workflow_execution_summary.failed_task_count IS 'How many ended badly.';
COMMENT ON COLUMN workflow.workflow_execution_summary.skipped_task_count IS 'How many were skipped.';
COMMENT ON COLUMN workflow.workflow_execution_summary.error_message IS 'Why it failed.';
COMMENT ON COLUMN workflow.workflow_execution_summary.created IS 'When it was made.';
COMMENT ON COLUMN workflow.workflow_execution_summary.updated IS 'When its row last changed.';

CREATE VIEW workflow.workflow_task_detail WITH (security_invoker = true) AS
SELECT t.part, t.id, t.workflow_execution, w.execution AS parent_execution, t.execution,
  d.ref AS workflow_ref, t.task_name, t.task_index, t.task_batch, t.action_ref,
  t.status, workflow.task_summary(t) AS summary,
  t.retry_count, t.max_retries, t.next_retry_at, t.timeout_seconds, t.timed_out,
  t.started_at, t.completed_at, t.duration_ms, t.created, t.updated
FROM workflow.workflow_task_execution AS t
  JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
  JOIN workflow.workflow_definition AS d ON d.id = w.workflow_def;
COMMENT ON VIEW workflow.workflow_task_detail IS 'Task executions, with their workflow and their status in one word.';
COMMENT ON COLUMN workflow.workflow_task_detail.part IS 'Its part: id >> 48. Naming it with an id makes a look-up quick.';
COMMENT ON COLUMN workflow.workflow_task_detail.id IS 'The task execution.';
COMMENT ON COLUMN workflow.workflow_task_detail.workflow_execution IS 'The workflow execution it belongs to.';
COMMENT ON COLUMN workflow.workflow_task_detail.parent_execution IS 'The execution that this workflow execution runs.';
COMMENT ON COLUMN workflow.workflow_task_detail.execution IS 'A child execution that does the work; NULL: the task is the work.';
COMMENT ON COLUMN workflow.workflow_task_detail.workflow_ref IS 'The workflow.';
COMMENT ON COLUMN workflow.workflow_task_detail.task_name IS 'The task''s name in the definition.';
COMMENT ON COLUMN workflow.workflow_task_detail.task_index IS 'Which item, from 0; NULL without with_items.';
COMMENT ON COLUMN workflow.workflow_task_detail.task_batch IS 'Which batch of items, from 0; NULL without batch_size.';
COMMENT ON COLUMN workflow.workflow_task_detail.action_ref IS 'What a worker does.';
COMMENT ON COLUMN workflow.workflow_task_detail.status IS 'Where it stands.';
COMMENT ON COLUMN workflow.workflow_task_detail.summary IS 'That in one word: see workflow.task_summary.';
COMMENT ON COLUMN workflow.workflow_task_detail.retry_count IS 'Retries already dispatched.';
COMMENT ON COLUMN workflow.workflow_task_detail.max_retries IS 'Retries allowed.';
COMMENT ON COLUMN workflow.workflow_task_detail.next_retry_at IS 'When its next retry is due.';
COMMENT ON COLUMN workflow.workflow_task_detail.timeout_seconds IS 'How long one attempt may run.';
COMMENT ON COLUMN workflow.workflow_task_detail.timed_out IS 'It ran longer.';
COMMENT ON COLUMN workflow.workflow_task_detail.started_at IS 'When it last began.';
COMMENT ON COLUMN workflow.workflow_task_detail.completed_at IS 'When it ended.';
COMMENT ON COLUMN workflow.workflow_task_detail.duration_ms IS 'From started_at to completed_at, in milliseconds.';
COMMENT ON COLUMN workflow.workflow_task_detail.created IS 'When it was made.';
COMMENT ON COLUMN workflow.workflow_task_detail.updated IS 'When its row last changed.';

CREATE VIEW workflow.workflow_action_link WITH (security_invoker = true) AS
SELECT d.id AS workflow_def_id, d.ref AS workflow_ref, d.label AS workflow_label, d.version AS workflow_version, d.enabled,
  d.pack_ref, a.id AS action_id, a.ref AS action_ref
FROM workflow.workflow_definition AS d
  LEFT JOIN workflow.action AS a ON a.workflow_def = d.id AND a.is_workflow;
COMMENT ON VIEW workflow.workflow_action_link IS
  'Workflows and the actions they stand for; a workflow without one has one row, with NULLs.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_def_id IS 'The definition.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_ref IS 'Its ref.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_label IS 'What people call it.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_version IS 'The author''s version.';
COMMENT ON COLUMN workflow.workflow_action_link.enabled IS 'False: it cannot be started.';
COMMENT ON COLUMN workflow.workflow_action_link.pack_ref IS 'Its pack.';
COMMENT ON COLUMN workflow.workflow_action_link.action_id IS 'The action.';
COMMENT ON COLUMN workflow.workflow_action_link.action_ref IS 'The action''s ref.';
