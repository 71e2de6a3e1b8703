-- Task executions: one row a task, one an item.
--
-- Rows of a workflow execution that the engine runs are only read here. Those of one that is driven from outside are
-- made and updated here; no worker can claim them. The functions keep what follows from the rest: when a task that
-- starts or ends without saying when did so, how long it took, and when a running one is overdue.

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
  'The task execution with that id, or no row. Errors: WF613.';
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
  'All task executions, in order of id: max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613.';
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
  'The place of a cursor in a list of tasks by age: when that task execution was made, or the beginning of time for none. Raises WF616 where it is gone.';
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
  'The tasks of a workflow execution, oldest first (created, id): max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613; WF616 where that one is gone.';
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
  'The rows of one task of the workflow execution with that id, oldest first (created, id): several where it has items, is in a cycle or is reached by several ways; max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613; WF616 where that one is gone.';
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
  -- An execution that does the work of a task is looked up one way, one that runs a workflow the other; a sub-workflow
  -- is both, and gives the task it stands for first, being the older.
  RETURN QUERY SELECT t.* FROM (
      SELECT one.* FROM workflow.workflow_task_execution AS one WHERE one.part = home AND one.execution = id
      UNION ALL
      SELECT many.* FROM workflow.workflow_execution AS w
        JOIN workflow.workflow_task_execution AS many ON many.part = home AND many.workflow_execution = w.id
      WHERE w.part = home AND w.execution = id
    ) AS t
    WHERE (t.created, t.id) > (place, coalesce(after, 0)) ORDER BY t.created, t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_task_executions_by_execution(bigint, int, bigint) IS
  'The task whose work the execution with that id does, and the tasks of the workflow that it runs, oldest first (created, id): max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613; WF616 where that one is gone.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_task_executions_by_execution(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_pending_retries(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  -- Asked once, because a volatile function in the WHERE clause would keep the index from being used.
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
  'The tasks whose next retry is due and which have retries left, oldest first (next_retry_at, id): max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613; WF616 where that one awaits no retry any more.';
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
  'The tasks that are marked as timed out, in order of id: max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613.';
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
  -- The due date of a running task is the end of its timeout.
  RETURN QUERY SELECT t.* FROM workflow.workflow_task_execution AS t
    WHERE t.due_at <= moment AND t.status = 'running' AND NOT t.timed_out AND (t.due_at, t.id) > (place, coalesce(after, 0))
    ORDER BY t.due_at, t.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_overdue(int, bigint) IS
  'The tasks that run past their timeout and are not marked as timed out yet, longest overdue first (due_at, id): max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613; WF616 where that one has no timeout to run past any more.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_overdue(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.settle_task(
  task workflow.workflow_task_execution, former workflow.execution_status, given text[], moment timestamptz)
RETURNS workflow.workflow_task_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  turned boolean := former IS DISTINCT FROM task.status;
BEGIN
  IF turned AND task.status = 'running' THEN
    -- It starts, or starts again: what an earlier attempt left is no longer true.
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
  'A task driven from outside with what follows from the rest: started_at, completed_at, duration_ms and timed_out where they were not given and its status has turned from the former one, and due_at.';
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
  'Raises WF613, naming the column, for a count below 0 or a time that is infinite; nulls pass.';
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
  'Raises WF616 where there is no workflow execution with that id, WF618 where the engine owns it.';
REVOKE ALL ON FUNCTION workflow.require_outside(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.require_own_task(id bigint, instead text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  -- A row keeps its master for life, so there is nothing to lock before asking.
  IF EXISTS (SELECT FROM workflow.workflow_task_execution AS t
    JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE t.part = home AND t.id = id AND w.version IS NOT NULL)
  THEN
    PERFORM workflow.raise_owned('task execution', id, instead);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_own_task(bigint, text) IS
  'Raises WF618, naming the functions to use instead, where the engine owns the task execution with that id.';
REVOKE ALL ON FUNCTION workflow.require_own_task(bigint, text) FROM PUBLIC;

CREATE FUNCTION workflow.require_worker(execution bigint, part int) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require_execution(execution);
  IF execution >> 48 <> part THEN
    PERFORM workflow.raise_error('WF613', 'execution is of another part',
      format('execution is %s of part %s, the task is of part %s', execution, execution >> 48, part),
      'make it a child of the execution that the workflow runs');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_worker(bigint, int) IS
  'Raises WF616 where there is no execution with that id, WF613 where it is of another part than the task whose work it is to do; null passes.';
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
  -- A timed_out of false is the default, and so not given.
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
  'Makes a task of a workflow execution that is driven from outside, in its part, and returns its row. Arguments are the columns of workflow.workflow_task_execution; duration_ms is in milliseconds, timeout_seconds in seconds; started_at, completed_at and duration_ms follow from the status where they are left out. Errors: WF613 for a value that is null, negative, infinite or of another part; WF616 for an unknown workflow execution or execution; WF617 where the execution does the work of another task; WF618 where the engine owns the workflow execution.';
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
  -- Without what may be large, which would be read and written whole.
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
  'Writes the columns that the patch, {"column": value, …}, names; null sets one back to NULL; an empty patch writes nothing. Returns the row. execution, status, started_at, completed_at, duration_ms (milliseconds), result, error, retry_count, max_retries, next_retry_at, timeout_seconds (seconds), timed_out, skipped, action_ref and input can be changed; when a task starts or ends and how long it took follow from the status where the patch does not say. Errors: WF613, naming the key; WF616, for the execution too; WF617 where the execution does the work of another task; WF618 where the engine owns it.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_task_execution(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_task_execution(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require_own_task(id, 'workflow_cancel to end the workflow, workflow_prune to delete what has ended');
  DELETE FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.id = id;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_task_execution(bigint) IS
  'Deletes a task; an execution that did its work stays. Returns whether it was there. Errors: WF613; WF618 where the engine owns it.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_task_execution(bigint) FROM PUBLIC;
