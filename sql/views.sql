-- The readable form of the data: the one-word status of a task, the task lists of a workflow execution, and three views.
--
-- While a workflow is running, the engine keeps no list of the tasks that are running or have ended: the task rows show this, and a
-- copy would cost one more write per step. Nor does it copy the graph of the pinned version. Everything that reads a workflow
-- execution uses workflow.readable or workflow.live_lists, which fill these in.
--
-- The functions used by views are single SQL statements with a parsed body and no SET, so that the planner can inline them: a
-- view pays for a column only if it is selected. They take columns, not whole rows, because a table whose row type is an
-- argument of such a function cannot get a new column that must be populated.

CREATE FUNCTION workflow.is_end(status workflow.execution_status) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN status IN ('completed', 'failed', 'cancelled', 'timeout', 'abandoned');
COMMENT ON FUNCTION workflow.is_end(workflow.execution_status) IS 'Whether a status is final.';
REVOKE ALL ON FUNCTION workflow.is_end(workflow.execution_status) FROM PUBLIC;

CREATE FUNCTION workflow.task_summary(status workflow.execution_status, skipped boolean) RETURNS workflow.task_status
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN skipped THEN 'skipped'::workflow.task_status
  WHEN status = 'completed' THEN 'completed'::workflow.task_status
  WHEN status = 'cancelled' THEN 'cancelled'::workflow.task_status
  WHEN status IN ('failed', 'timeout', 'abandoned') THEN 'failed'::workflow.task_status
  WHEN status IN ('running', 'canceling') THEN 'running'::workflow.task_status
  WHEN status IN ('requested', 'scheduling', 'scheduled') THEN 'pending'::workflow.task_status
END;
COMMENT ON FUNCTION workflow.task_summary(workflow.execution_status, boolean) IS
  'Returns the status of a task in one word, from its status and whether it was skipped: timeout and abandoned become failed, canceling becomes running, and anything that has not started is pending.';
REVOKE ALL ON FUNCTION workflow.task_summary(workflow.execution_status, boolean) FROM PUBLIC;

CREATE FUNCTION workflow.task_lists(workflow_executions bigint[])
RETURNS TABLE (workflow_execution bigint, current_tasks text[], completed_tasks text[], failed_tasks text[], skipped_tasks text[])
LANGUAGE c STABLE STRICT PARALLEL SAFE ROWS 10
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_task_lists_wrapper';
COMMENT ON FUNCTION workflow.task_lists(bigint[]) IS
  'Returns the task names of workflow executions, from the task rows: those that have not ended, succeeded, failed, or were skipped; each name once per list, in the order in which the tasks were created. One row per workflow execution, whether it has tasks or not.';
REVOKE ALL ON FUNCTION workflow.task_lists(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.live_lists(id bigint, execution bigint, version bigint)
RETURNS TABLE (current_tasks text[], completed_tasks text[], failed_tasks text[], skipped_tasks text[])
LANGUAGE sql STABLE PARALLEL SAFE ROWS 1
BEGIN ATOMIC
  SELECT list.current_tasks, list.completed_tasks, list.failed_tasks, list.skipped_tasks
  FROM workflow.task_lists(ARRAY[live_lists.id]) AS list
  WHERE live_lists.version IS NOT NULL AND NOT workflow.is_end(
    (SELECT e.status FROM workflow.execution AS e WHERE e.part = (live_lists.execution >> 48)::int AND e.id = live_lists.execution));
END;
COMMENT ON FUNCTION workflow.live_lists(bigint, bigint, bigint) IS
  'Returns the task lists of a workflow execution that the engine runs and that has not ended, from its task rows; for any other, no row: its own lists are valid.';
REVOKE ALL ON FUNCTION workflow.live_lists(bigint, bigint, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.readable(run workflow.workflow_execution) RETURNS workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  list record;
BEGIN
  IF run.state ? 'base' THEN
    SELECT run.variables || coalesce(jsonb_object_agg(c.name, c.value ORDER BY c.place), '{}') INTO run.variables
    FROM workflow.branch_change AS c
    WHERE c.part = run.part AND c.workflow_execution = run.id AND c.name IS NOT NULL;
  END IF;
  IF run.task_graph IS NULL THEN
    SELECT v.graph INTO run.task_graph FROM workflow.workflow_definition_version AS v WHERE v.id = run.version;
  END IF;
  SELECT l.* INTO list FROM workflow.live_lists(run.id, run.execution, run.version) AS l;
  IF FOUND THEN
    run.current_tasks := list.current_tasks;
    run.completed_tasks := list.completed_tasks;
    run.failed_tasks := list.failed_tasks;
    run.skipped_tasks := list.skipped_tasks;
  END IF;
  RETURN run;
END $$;
COMMENT ON FUNCTION workflow.readable(workflow.workflow_execution) IS
  'Returns a workflow execution in readable form: if the engine runs it, the task lists come from the task rows until it ends, task_graph is the pinned version''s if the row has none of its own, and variables include what branches have published.';
REVOKE ALL ON FUNCTION workflow.readable(workflow.workflow_execution) FROM PUBLIC;

CREATE VIEW workflow.workflow_execution_summary WITH (security_invoker = true) AS
SELECT w.part, w.id, w.id AS execution, w.workflow_def,
  d.ref AS workflow_ref, d.label AS workflow_label,
  coalesce((SELECT v.definition ->> 'version' FROM workflow.workflow_definition_version AS v WHERE v.id = w.version), d.version)
    AS workflow_version,
  w.status, w.paused, w.pause_reason, w.priority,
  cardinality(coalesce(list.current_tasks, w.current_tasks)) AS current_task_count,
  cardinality(coalesce(list.completed_tasks, w.completed_tasks)) AS completed_task_count,
  cardinality(coalesce(list.failed_tasks, w.failed_tasks)) AS failed_task_count,
  cardinality(coalesce(list.skipped_tasks, w.skipped_tasks)) AS skipped_task_count,
  w.error_message, w.created, w.updated, w.attributes
FROM workflow.workflow_execution AS w
  JOIN workflow.workflow_definition AS d ON d.id = w.workflow_def
  LEFT JOIN LATERAL workflow.live_lists(w.id, w.execution, w.version) AS list ON true;
COMMENT ON VIEW workflow.workflow_execution_summary IS
  'Workflow executions, with their workflow and the number of tasks in each state.';
COMMENT ON COLUMN workflow.workflow_execution_summary.part IS
  'Its part: id >> 48. Filtering by it as well as by id makes a lookup fast.';
COMMENT ON COLUMN workflow.workflow_execution_summary.id IS 'The execution.';
COMMENT ON COLUMN workflow.workflow_execution_summary.execution IS 'The execution: equal to id.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_def IS 'The definition.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_ref IS 'Its ref.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_label IS 'The workflow''s current display name.';
COMMENT ON COLUMN workflow.workflow_execution_summary.workflow_version IS
  'The author''s version: of the pinned definition, or of the head if none is pinned.';
COMMENT ON COLUMN workflow.workflow_execution_summary.status IS 'The verdict so far.';
COMMENT ON COLUMN workflow.workflow_execution_summary.paused IS
  'Whether it is paused: none of its tasks can be claimed.';
COMMENT ON COLUMN workflow.workflow_execution_summary.pause_reason IS 'Why it is paused.';
COMMENT ON COLUMN workflow.workflow_execution_summary.priority IS 'Higher is claimed first.';
COMMENT ON COLUMN workflow.workflow_execution_summary.current_task_count IS
  'Number of tasks, by name, that have not ended; 0 for none.';
COMMENT ON COLUMN workflow.workflow_execution_summary.completed_task_count IS 'Number of tasks that succeeded.';
COMMENT ON COLUMN workflow.workflow_execution_summary.failed_task_count IS 'Number of tasks that failed.';
COMMENT ON COLUMN workflow.workflow_execution_summary.skipped_task_count IS 'Number of tasks that were skipped.';
COMMENT ON COLUMN workflow.workflow_execution_summary.error_message IS 'Why it failed.';
COMMENT ON COLUMN workflow.workflow_execution_summary.created IS 'When it was created.';
COMMENT ON COLUMN workflow.workflow_execution_summary.updated IS 'When its row last changed.';
COMMENT ON COLUMN workflow.workflow_execution_summary.attributes IS 'Its attributes; NULL: none.';

CREATE VIEW workflow.workflow_task_detail WITH (security_invoker = true) AS
SELECT t.part, t.id, t.workflow_execution AS execution, t.execution AS child_execution,
  d.ref AS workflow_ref, t.task_name, t.task_index, t.task_batch, t.action_ref,
  t.status, workflow.task_summary(t.status, t.skipped) AS summary,
  t.retry_count, t.max_retries, t.next_retry_at, t.timeout_seconds, t.timed_out,
  t.started_at, t.completed_at, t.duration_ms, t.created, t.updated
FROM workflow.workflow_task_execution AS t
  JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
  JOIN workflow.workflow_definition AS d ON d.id = w.workflow_def;
COMMENT ON VIEW workflow.workflow_task_detail IS 'Task executions, with their workflow and their status in one word.';
COMMENT ON COLUMN workflow.workflow_task_detail.part IS
  'Its part: id >> 48. Filtering by it as well as by an id makes a lookup fast.';
COMMENT ON COLUMN workflow.workflow_task_detail.id IS 'The task execution.';
COMMENT ON COLUMN workflow.workflow_task_detail.execution IS 'The execution it belongs to.';
COMMENT ON COLUMN workflow.workflow_task_detail.child_execution IS
  'The child execution that does the work; NULL: the task itself is the work.';
COMMENT ON COLUMN workflow.workflow_task_detail.workflow_ref IS 'The workflow.';
COMMENT ON COLUMN workflow.workflow_task_detail.task_name IS 'The task''s name in the definition.';
COMMENT ON COLUMN workflow.workflow_task_detail.task_index IS 'Index of the item, from 0; NULL without with_items.';
COMMENT ON COLUMN workflow.workflow_task_detail.task_batch IS
  'Index of the batch of items, from 0; NULL without batch_size.';
COMMENT ON COLUMN workflow.workflow_task_detail.action_ref IS 'The action that a worker executes.';
COMMENT ON COLUMN workflow.workflow_task_detail.status IS 'Current status.';
COMMENT ON COLUMN workflow.workflow_task_detail.summary IS 'The status in one word: see workflow.task_summary.';
COMMENT ON COLUMN workflow.workflow_task_detail.retry_count IS 'Number of retries dispatched so far.';
COMMENT ON COLUMN workflow.workflow_task_detail.max_retries IS 'Maximum number of retries.';
COMMENT ON COLUMN workflow.workflow_task_detail.next_retry_at IS 'When its next retry is due.';
COMMENT ON COLUMN workflow.workflow_task_detail.timeout_seconds IS 'How long one attempt may run, in seconds.';
COMMENT ON COLUMN workflow.workflow_task_detail.timed_out IS 'Whether it exceeded timeout_seconds.';
COMMENT ON COLUMN workflow.workflow_task_detail.started_at IS 'When it last started.';
COMMENT ON COLUMN workflow.workflow_task_detail.completed_at IS 'When it ended.';
COMMENT ON COLUMN workflow.workflow_task_detail.duration_ms IS 'Time from started_at to completed_at, in milliseconds.';
COMMENT ON COLUMN workflow.workflow_task_detail.created IS 'When it was created.';
COMMENT ON COLUMN workflow.workflow_task_detail.updated IS 'When its row last changed.';

CREATE VIEW workflow.workflow_action_link WITH (security_invoker = true) AS
SELECT d.id AS workflow_def_id, d.ref AS workflow_ref, d.label AS workflow_label, d.version AS workflow_version, d.enabled,
  d.pack_ref, a.id AS action_id, a.ref AS action_ref
FROM workflow.workflow_definition AS d
  LEFT JOIN workflow.action AS a ON a.workflow_def = d.id AND a.is_workflow;
COMMENT ON VIEW workflow.workflow_action_link IS
  'Workflows and the actions they stand for; a workflow without an action has one row, with NULLs.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_def_id IS 'The definition.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_ref IS 'Its ref.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_label IS 'Display name.';
COMMENT ON COLUMN workflow.workflow_action_link.workflow_version IS 'The author''s version.';
COMMENT ON COLUMN workflow.workflow_action_link.enabled IS 'Whether it can be started.';
COMMENT ON COLUMN workflow.workflow_action_link.pack_ref IS 'Its pack.';
COMMENT ON COLUMN workflow.workflow_action_link.action_id IS 'The action.';
COMMENT ON COLUMN workflow.workflow_action_link.action_ref IS 'The action''s ref.';
