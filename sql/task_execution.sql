-- Task executions: one row per task, one per item.
--
-- Rows of a workflow execution that the engine runs are only read here. Rows of one that is driven from outside are created
-- and updated here; no worker can claim them. The functions maintain derived columns: when a task started or ended (unless the
-- caller says), how long it took, and when a running task becomes overdue.

CREATE FUNCTION pg_catalog.workflow_find_task_execution(id bigint) RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_task_execution(bigint) IS
  'Returns the task execution with the given id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_task_execution(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_task_executions(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t
    WHERE t.id > coalesce(after, 0) ORDER BY t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_task_executions(int, bigint) IS
  'Returns all task executions, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_task_executions(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.task_created(after bigint) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := after >> 48;
  place timestamptz := '-infinity';
BEGIN
  IF after IS NOT NULL THEN
    SELECT t.created INTO place FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = after;
    IF NOT FOUND THEN
      PERFORM workflow.raise_lost(after);
    END IF;
  END IF;
  RETURN place;
END $$;
COMMENT ON FUNCTION workflow.task_created(bigint) IS
  'Returns the position of a cursor in a list of tasks by age: when the given task execution was created, or -infinity for null. Raises WF616 if it no longer exists.';
REVOKE ALL ON FUNCTION workflow.task_created(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_task_executions_by_workflow_execution(
  id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
  place timestamptz := workflow.task_created(after);
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t
    WHERE t.part = home AND t.workflow_execution = id AND (t.created, t.id) > (place, coalesce(after, 0))
    ORDER BY t.created, t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_task_executions_by_workflow_execution(bigint, int, bigint) IS
  'Returns the tasks of a workflow execution, oldest first (created, id): up to max_rows (1 to 10000) after the one with id after. Errors: WF613; WF616 if that one no longer exists.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_task_executions_by_workflow_execution(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_task_executions_by_task_name(
  id bigint, name text, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
  place timestamptz := workflow.task_created(after);
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require('name', name);
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t
    WHERE t.part = home AND t.workflow_execution = id AND t.task_name = name
      AND (t.created, t.id) > (place, coalesce(after, 0))
    ORDER BY t.created, t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_task_executions_by_task_name(bigint, text, int, bigint) IS
  'Returns the rows of one task of the workflow execution with the given id, several if it has items, is in a cycle or is reached by several routes, oldest first (created, id): up to max_rows (1 to 10000) after the one with id after. Errors: WF613; WF616 if that one no longer exists.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_task_executions_by_task_name(bigint, text, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_task_executions_by_execution(
  id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
  place timestamptz := workflow.task_created(after);
BEGIN
  PERFORM workflow.require('id', id);
  -- An execution that does the work of a task is looked up one way, one that runs a workflow the other way. A sub-workflow is
  -- both; the task whose work it does comes first, because it is older.
  RETURN QUERY SELECT t.* FROM (
      SELECT one.* FROM workflow.workflow_task_execution AS one WHERE one.part = home AND one.execution = id
      UNION ALL
      SELECT many.* FROM workflow.workflow_execution AS w
        JOIN workflow.workflow_task_execution AS many ON many.part = home AND many.workflow_execution = w.id
      WHERE w.part = home AND w.id = id
    ) AS t
    WHERE (t.created, t.id) > (place, coalesce(after, 0)) ORDER BY t.created, t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_task_executions_by_execution(bigint, int, bigint) IS
  'Returns the task whose work is done by the execution with the given id, and the tasks of the workflow that it runs, oldest first (created, id): up to max_rows (1 to 10000) after the one with id after. Errors: WF613; WF616 if that one no longer exists.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_task_executions_by_execution(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_pending_retries(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  -- Called once, because a volatile function in the WHERE clause would prevent use of the index.
  moment timestamptz := workflow.now();
  home int := after >> 48;
  place timestamptz := '-infinity';
BEGIN
  IF after IS NOT NULL THEN
    SELECT t.next_retry_at INTO place FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = after;
    IF place IS NULL THEN
      PERFORM workflow.raise_lost(after);
    END IF;
  END IF;
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t
    WHERE t.next_retry_at <= moment AND t.retry_count < t.max_retries AND (t.next_retry_at, t.id) > (place, coalesce(after, 0))
    ORDER BY t.next_retry_at, t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_pending_retries(int, bigint) IS
  'Returns the tasks whose next retry is due and that have retries left, oldest first (next_retry_at, id): up to max_rows (1 to 10000) after the one with id after. Errors: WF613; WF616 if that one is no longer waiting for a retry.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_pending_retries(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_timed_out(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t
    WHERE t.timed_out AND t.id > coalesce(after, 0) ORDER BY t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_timed_out(int, bigint) IS
  'Returns the tasks that are marked as timed out, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_timed_out(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_overdue(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  home int := after >> 48;
  place timestamptz := '-infinity';
BEGIN
  IF after IS NOT NULL THEN
    SELECT t.due_at INTO place FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = after;
    IF place IS NULL THEN
      PERFORM workflow.raise_lost(after);
    END IF;
  END IF;
  -- A running task is due at the end of its timeout.
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t
    WHERE t.due_at <= moment AND t.status = 'running' AND NOT t.timed_out AND (t.due_at, t.id) > (place, coalesce(after, 0))
    ORDER BY t.due_at, t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_overdue(int, bigint) IS
  'Returns the tasks that have been running longer than their timeout and are not marked as timed out yet, longest overdue first (due_at, id): up to max_rows (1 to 10000) after the one with id after. Errors: WF613; WF616 if that one is no longer subject to a timeout.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_overdue(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.settle_task(
  task workflow.workflow_task_execution, former workflow.execution_status, given text[], moment timestamptz)
RETURNS workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  turned boolean := former IS DISTINCT FROM task.status;
BEGIN
  IF turned AND task.status = 'running' THEN
    -- The task starts, possibly again: values left by an earlier attempt no longer apply.
    IF 'started_at' <> ALL (given) THEN task.started_at := moment; END IF;
    IF 'completed_at' <> ALL (given) THEN task.completed_at := NULL; END IF;
    IF 'duration_ms' <> ALL (given) THEN task.duration_ms := NULL; END IF;
    IF 'timed_out' <> ALL (given) THEN task.timed_out := false; END IF;
  ELSIF turned AND workflow.is_end(task.status) THEN
    IF 'completed_at' <> ALL (given) THEN task.completed_at := moment; END IF;
    IF 'timed_out' <> ALL (given) AND task.status = 'timeout' THEN task.timed_out := true; END IF;
  END IF;
  IF 'duration_ms' <> ALL (given) AND task.completed_at IS NOT NULL AND task.started_at IS NOT NULL
    AND (turned OR given && '{started_at,completed_at}')
  THEN
    task.duration_ms := greatest(0, round(extract(epoch FROM task.completed_at - task.started_at) * 1000));
  END IF;
  task.due_at := CASE WHEN task.status = 'running' AND NOT task.timed_out
    THEN task.started_at + task.timeout_seconds * interval '1 second' END;
  RETURN task;
END $$;
COMMENT ON FUNCTION workflow.settle_task(workflow.workflow_task_execution, workflow.execution_status, text[], timestamptz) IS
  'Returns a task driven from outside with its derived columns set: due_at, and, where they were not given and the status has changed, started_at, completed_at, duration_ms and timed_out.';
REVOKE ALL ON FUNCTION workflow.settle_task(workflow.workflow_task_execution, workflow.execution_status, text[], timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.require_task(task workflow.workflow_task_execution) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require_count('task_index', task.task_index);
  PERFORM workflow.require_count('task_batch', task.task_batch);
  PERFORM workflow.require_count('retry_count', task.retry_count);
  PERFORM workflow.require_count('max_retries', task.max_retries);
  PERFORM workflow.require_count('timeout_seconds', task.timeout_seconds);
  PERFORM workflow.require_count('duration_ms', task.duration_ms);
  PERFORM workflow.require_time('started_at', task.started_at);
  PERFORM workflow.require_time('completed_at', task.completed_at);
  PERFORM workflow.require_time('next_retry_at', task.next_retry_at);
END $$;
COMMENT ON FUNCTION workflow.require_task(workflow.workflow_task_execution) IS
  'Raises WF613, naming the column, for a count below 0 or an infinite time; nulls pass.';
REVOKE ALL ON FUNCTION workflow.require_task(workflow.workflow_task_execution) FROM PUBLIC;

CREATE FUNCTION workflow.require_outside(workflow_execution bigint) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := workflow_execution >> 48;
  owned boolean;
BEGIN
  SELECT w.version IS NOT NULL INTO owned FROM workflow.workflow_execution AS w
  WHERE w.part = home AND w.id = workflow_execution;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('workflow execution', 'id', workflow_execution::text);
  ELSIF owned THEN
    PERFORM workflow.raise_owned('workflow execution', workflow_execution, 'workflow_define to give the workflow other tasks');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_outside(bigint) IS
  'Raises WF616 if there is no workflow execution with the given id, WF618 if the engine owns it.';
REVOKE ALL ON FUNCTION workflow.require_outside(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.require_own_task(id bigint, instead text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  -- A row never changes its owner, so it need not be locked before the check.
  IF EXISTS (SELECT FROM workflow.workflow_task_execution AS t
    JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE t.part = home AND t.id = id AND w.version IS NOT NULL)
  THEN
    PERFORM workflow.raise_owned('task execution', id, instead);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_own_task(bigint, text) IS
  'Raises WF618, naming the functions to use instead, if the engine owns the task execution with the given id.';
REVOKE ALL ON FUNCTION workflow.require_own_task(bigint, text) FROM PUBLIC;

CREATE FUNCTION workflow.require_worker(execution bigint, part int) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require_execution(execution);
  IF execution >> 48 <> part THEN
    PERFORM workflow.raise_error('WF613', 'execution is in a different part',
      format('Execution %s is in part %s, but the task is in part %s.', execution, execution >> 48, part),
      'Create it as a child of the workflow''s execution.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_worker(bigint, int) IS
  'Raises WF616 if there is no execution with the given id, WF613 if it is in a different part from the task whose work it is to do; null passes.';
REVOKE ALL ON FUNCTION workflow.require_worker(bigint, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_create_task_execution(
  workflow_execution bigint, task_name text, execution bigint DEFAULT NULL, task_index int DEFAULT NULL,
  task_batch int DEFAULT NULL, status workflow.execution_status DEFAULT 'requested', started_at timestamptz DEFAULT NULL,
  completed_at timestamptz DEFAULT NULL, duration_ms bigint DEFAULT NULL, result jsonb DEFAULT NULL,
  error jsonb DEFAULT NULL, retry_count int DEFAULT 0, max_retries int DEFAULT 0, next_retry_at timestamptz DEFAULT NULL,
  timeout_seconds int DEFAULT NULL, timed_out boolean DEFAULT false, skipped boolean DEFAULT false,
  action_ref text DEFAULT NULL, input jsonb DEFAULT NULL)
RETURNS workflow.workflow_task_execution
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
  home int := workflow_execution >> 48;
  given jsonb;
  task workflow.workflow_task_execution;
BEGIN
  PERFORM workflow.require_part(home);
  PERFORM workflow.require('workflow_execution', workflow_execution);
  PERFORM workflow.require('task_name', task_name);
  PERFORM workflow.require('status', status);
  PERFORM workflow.require('retry_count', retry_count);
  PERFORM workflow.require('max_retries', max_retries);
  PERFORM workflow.require('timed_out', timed_out);
  PERFORM workflow.require('skipped', skipped);
  given := jsonb_strip_nulls(jsonb_build_object('task_index', task_index, 'task_batch', task_batch, 'status', status,
    'started_at', started_at, 'completed_at', completed_at, 'duration_ms', duration_ms, 'retry_count', retry_count,
    'max_retries', max_retries, 'next_retry_at', next_retry_at, 'timeout_seconds', timeout_seconds,
    'timed_out', timed_out));
  task := jsonb_populate_record(NULL::workflow.workflow_task_execution, given);
  PERFORM workflow.require_task(task);
  PERFORM workflow.require_outside(workflow_execution);
  PERFORM workflow.require_worker(execution, home);
  -- timed_out = false is the default, so it does not count as given.
  task := workflow.settle_task(task, NULL, ARRAY(SELECT g.key FROM jsonb_each(given) AS g WHERE g.value <> 'false'), moment);
  INSERT INTO workflow.workflow_task_execution (part, id, workflow_execution, execution, task_name, task_index, task_batch,
    status, started_at, completed_at, duration_ms, result, error, retry_count, max_retries, next_retry_at,
    timeout_seconds, timed_out, skipped, action_ref, input, due_at, created, updated)
  VALUES (home, workflow.make_id(home, nextval('workflow.workflow_task_execution_id_seq')), workflow_execution, execution,
    task_name, task_index, task_batch, status, task.started_at, task.completed_at, task.duration_ms, result, error,
    retry_count, max_retries, next_retry_at, timeout_seconds, task.timed_out, skipped, action_ref, input, task.due_at,
    moment, moment)
  ON CONFLICT (part, execution) WHERE execution IS NOT NULL DO NOTHING RETURNING * INTO task;
  IF NOT FOUND THEN
    PERFORM workflow.raise_taken('task execution', 'execution', execution::text);
  END IF;
  RETURN task;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_create_task_execution(bigint, text, bigint, int, int, workflow.execution_status, timestamptz, timestamptz, bigint, jsonb, jsonb, int, int, timestamptz, int, boolean, boolean, text, jsonb) IS
  'Creates a task of a workflow execution that is driven from outside, in its part, and returns its row. Arguments are the columns of workflow.workflow_task_execution; duration_ms is in milliseconds, timeout_seconds in seconds; started_at, completed_at and duration_ms are derived from the status if they are left out. Errors: WF613 for a value that is null, negative, infinite or of another part; WF616 for an unknown workflow execution or execution; WF617 if the execution does the work of another task; WF618 if the engine owns the workflow execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_create_task_execution(bigint, text, bigint, int, int, workflow.execution_status, timestamptz, timestamptz, bigint, jsonb, jsonb, int, int, timestamptz, int, boolean, boolean, text, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_update_task_execution(id bigint, patch jsonb) RETURNS workflow.workflow_task_execution
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  home int := id >> 48;
  given workflow.workflow_task_execution;
  task workflow.workflow_task_execution;
  former jsonb;
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require_part(home);
  IF NOT workflow.check_patch(patch, 'workflow.workflow_task_execution',
    '{execution,status,started_at,completed_at,duration_ms,result,error,retry_count,max_retries,next_retry_at,timeout_seconds,timed_out,skipped,action_ref,input}')
  THEN
    SELECT t.* INTO task FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = id;
    IF NOT FOUND THEN
      PERFORM workflow.raise_missing('task execution', 'id', id::text);
    END IF;
    RETURN task;
  END IF;
  PERFORM workflow.require_own_task(id, 'workflow_complete, workflow_fail or workflow_heartbeat');
  -- Without columns that may be large, which would be read and written in full.
  SELECT jsonb_build_object('execution', t.execution, 'status', t.status, 'started_at', t.started_at,
    'completed_at', t.completed_at, 'duration_ms', t.duration_ms, 'retry_count', t.retry_count,
    'max_retries', t.max_retries, 'next_retry_at', t.next_retry_at, 'timeout_seconds', t.timeout_seconds,
    'timed_out', t.timed_out, 'skipped', t.skipped, 'action_ref', t.action_ref) INTO former
  FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = id FOR UPDATE;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('task execution', 'id', id::text);
  END IF;
  given := jsonb_populate_record(NULL::workflow.workflow_task_execution, patch);
  task := jsonb_populate_record(NULL::workflow.workflow_task_execution, former || patch - '{result,error,input}'::text[]);
  PERFORM workflow.require_task(task);
  PERFORM workflow.require_worker(given.execution, home);
  task := workflow.settle_task(task, (former ->> 'status')::workflow.execution_status,
    ARRAY(SELECT jsonb_object_keys(patch)), moment);
  UPDATE workflow.workflow_task_execution AS t SET
    execution = task.execution, status = task.status, started_at = task.started_at, completed_at = task.completed_at,
    duration_ms = task.duration_ms, retry_count = task.retry_count, max_retries = task.max_retries,
    next_retry_at = task.next_retry_at, timeout_seconds = task.timeout_seconds, timed_out = task.timed_out,
    skipped = task.skipped, action_ref = task.action_ref, due_at = task.due_at,
    result = CASE WHEN patch ? 'result' THEN given.result ELSE t.result END,
    error = CASE WHEN patch ? 'error' THEN given.error ELSE t.error END,
    input = CASE WHEN patch ? 'input' THEN given.input ELSE t.input END,
    updated = moment
  WHERE t.part = home AND t.id = id RETURNING t.* INTO task;
  RETURN task;
EXCEPTION WHEN unique_violation THEN
  PERFORM workflow.raise_taken('task execution', 'execution', given.execution::text);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_update_task_execution(bigint, jsonb) IS
  'Updates the columns named in the patch, {"column": value, …}; null sets a column to NULL; an empty patch writes nothing. Returns the row. execution, status, started_at, completed_at, duration_ms (milliseconds), result, error, retry_count, max_retries, next_retry_at, timeout_seconds (seconds), timed_out, skipped, action_ref and input can be changed; started_at, completed_at and duration_ms are derived from the status if the patch leaves them out. Errors: WF613, naming the key; WF616 if there is no such task execution or execution; WF617 if the execution does the work of another task; WF618 if the engine owns it.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_task_execution(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_task_execution(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require_part(home);
  PERFORM workflow.require_own_task(id, 'workflow_cancel to end the workflow, workflow_prune to delete what has ended');
  DELETE FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = id;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_task_execution(bigint) IS
  'Deletes a task; an execution that did its work stays. Returns whether it existed. Errors: WF613; WF618 if the engine owns it.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_task_execution(bigint) FROM PUBLIC;
