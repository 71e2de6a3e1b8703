-- Signals: input from outside, such as an approval, for a task that waits for it (wait_for).
--
-- A signal that arrives before its task waits is kept. The lock on the execution decides between a signal, the end of the wait and
-- everything else: the first to get it wins.

CREATE FUNCTION pg_catalog.workflow_signal(execution_id bigint, name text, payload jsonb DEFAULT NULL, key text DEFAULT NULL,
  error jsonb DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_signal_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text, jsonb) IS
  'Sends a signal to an execution: the oldest task that waits for this name completes with the payload as its result or, if an error is given, fails with it. Returns delivered, or kept if no task is waiting for the signal yet: the next task that waits for it gets it immediately. key: sending a signal of this name with the same key again changes nothing and returns the same answer, or delivered if a kept signal has been delivered in the meantime. Errors: WF611 if the execution has ended, if it is stopping and no task waits for that name, if no task of its workflow ever does, or if the last task that did has timed out; WF613 for null, both a payload and an error, or a name or key that is too long; WF614 for a payload or error that is too large; WF616 if there is no such execution; WF618 if it is driven from outside; WF621 if the payload violates the schema of wait_for.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_signal_by_key(ref text, idempotency_key text, name text, payload jsonb DEFAULT NULL,
  key text DEFAULT NULL, error jsonb DEFAULT NULL, part int DEFAULT NULL) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN workflow_signal(workflow.require_key(ref, idempotency_key, part), name, payload, key, error);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_signal_by_key(text, text, text, jsonb, text, jsonb, int) IS
  'Sends a signal, like workflow_signal, to the execution of a workflow that was started with an idempotency key in a part. Errors: as workflow_signal; WF613 also for a null ref, idempotency_key or part; WF616 if no execution has that key.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_signal_by_key(text, text, text, jsonb, text, jsonb, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_extend_wait(execution_id bigint, signal text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
  now timestamptz := workflow.now();
  until timestamptz;
  waiting int;
  extended int;
BEGIN
  PERFORM workflow.require('signal', workflow_extend_wait.signal);
  PERFORM workflow.require_part(run.part);
  -- Every session that ends the wait holds this lock.
  PERFORM FROM workflow.workflow_execution AS w WHERE w.part = run.part AND w.id = run.id FOR NO KEY UPDATE;
  WITH wait AS (
    SELECT t.part, t.id, t.heartbeat_seconds * interval '1 second' AS heartbeat,
      CASE WHEN t.due_at IS NULL THEN t.due_in ELSE greatest(t.due_at - now, '0') END + t.due_after AS left
    FROM workflow.workflow_task_execution AS t
    WHERE t.part = run.part AND t.workflow_execution = run.id AND t.waits AND t.signal = workflow_extend_wait.signal),
  wanted AS (SELECT w.*, least(w.heartbeat, w.left) AS next FROM wait AS w WHERE w.heartbeat IS NOT NULL),
  changed AS (
    UPDATE workflow.workflow_task_execution AS t
    SET due_at = CASE WHEN t.due_at IS NOT NULL THEN now + w.next END,
        due_in = CASE WHEN t.due_at IS NULL THEN w.next END,
        due_after = w.left - w.next, updated = now
    FROM wanted AS w WHERE t.part = w.part AND t.id = w.id
    RETURNING t.due_at)
  SELECT (SELECT count(*) FROM wait), (SELECT count(*) FROM changed), (SELECT min(c.due_at) FROM changed AS c)
  INTO waiting, extended, until;
  IF waiting = 0 THEN
    PERFORM workflow.raise_error('WF611', format('no task of execution %s is waiting for signal %s', execution_id, left(workflow_extend_wait.signal, 200)),
      format('Its status is %s.', run.status), format('To see what it is waiting for, SELECT * FROM workflow_list_waits(execution_id => %s).', execution_id));
  ELSIF extended = 0 THEN
    PERFORM workflow.raise_error('WF611', format('the wait for signal %s has no heartbeat', left(workflow_extend_wait.signal, 200)),
      NULL, 'Add heartbeat to wait_for in its definition.');
  END IF;
  RETURN until;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_extend_wait(bigint, text) IS
  'Extends the waits of an execution for a signal, for work outside the database that no worker leases: each now times out a heartbeat from now, but no later than its timeout. Returns when the first of them times out (null: its clock is stopped during a pause). Errors: WF611 if no task is waiting for that signal, or wait_for has no heartbeat; WF613 for null; WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_extend_wait(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_waits(signal text DEFAULT NULL, execution_id bigint DEFAULT NULL, max_rows int DEFAULT 100,
  after bigint DEFAULT NULL)
RETURNS TABLE (task bigint, execution bigint, workflow_ref text, task_name text, task_index int, signal_name text, input jsonb,
  schema jsonb, since timestamptz, until timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT t.id, t.workflow_execution, d.ref, t.task_name, t.task_index, t.signal, t.input,
    (SELECT n.task #> '{wait_for,schema}' FROM jsonb_array_elements(v.definition -> 'tasks') AS n(task)
     WHERE n.task ->> 'name' = t.task_name LIMIT 1), t.started_at, t.due_at
  FROM (
    SELECT o.* FROM workflow.workflow_task_execution AS o
    WHERE o.waits AND o.id > coalesce(workflow_list_waits.after, 0)
      AND (workflow_list_waits.signal IS NULL OR o.signal = workflow_list_waits.signal)
      AND (workflow_list_waits.execution_id IS NULL
           OR o.part = (workflow_list_waits.execution_id >> 48)::int AND o.workflow_execution = workflow_list_waits.execution_id)
    ORDER BY o.id LIMIT workflow.page_size(max_rows)) AS t
  JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
  JOIN workflow.workflow_definition AS d ON d.id = w.workflow_def
  LEFT JOIN workflow.workflow_definition_version AS v ON v.id = w.version
  ORDER BY t.id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_waits(text, bigint, int, bigint) IS
  'Returns the tasks that are waiting for signals, ordered by id: up to max_rows (1 to 10000) after the one with id after. signal: only tasks that wait for this signal. execution_id: only tasks of this execution. Columns: input is what there is to decide, schema the JSON Schema that a payload must satisfy, since the time at which the task began to wait, and until the time at which it times out (null: never, or its clock is stopped during a pause). Error: WF613 if max_rows is out of range.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_waits(text, bigint, int, bigint) FROM PUBLIC;
