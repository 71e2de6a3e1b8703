-- Workflow executions: each is one run of a workflow.
--
-- A row with a pinned version belongs to the engine and is only read here; a row created by workflow_create_workflow_execution
-- is driven from outside, and its owner determines its meaning. Both are returned as workflow.readable shows them.

CREATE FUNCTION pg_catalog.workflow_find_workflow_execution(id bigint) RETURNS SETOF workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT r.* FROM (
      SELECT w.* FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = id
    ) AS page CROSS JOIN LATERAL workflow.readable(page::workflow.workflow_execution) AS r;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_workflow_execution(bigint) IS
  'Returns the workflow execution with the given id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_workflow_execution(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_workflow_execution_by_execution(execution_id bigint)
RETURNS SETOF workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := execution_id >> 48;
BEGIN
  PERFORM workflow.require('execution_id', execution_id);
  RETURN QUERY SELECT r.* FROM (
      SELECT w.* FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = execution_id
    ) AS page CROSS JOIN LATERAL workflow.readable(page::workflow.workflow_execution) AS r;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_workflow_execution_by_execution(bigint) IS
  'Returns the workflow execution of the execution with the given id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_workflow_execution_by_execution(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_workflow_executions(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT r.* FROM (
      SELECT w.* FROM workflow.workflow_execution AS w
      WHERE w.id > coalesce(after, 0) ORDER BY w.id LIMIT workflow.page_size(max_rows)
    ) AS page CROSS JOIN LATERAL workflow.readable(page::workflow.workflow_execution) AS r ORDER BY r.id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_workflow_executions(int, bigint) IS
  'Returns all workflow executions, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_workflow_executions(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_workflow_executions_by_status(
  status workflow.execution_status, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('status', status);
  RETURN QUERY SELECT r.* FROM (
      SELECT w.* FROM workflow.workflow_execution AS w
      WHERE w.status = status AND w.id > coalesce(after, 0)
      ORDER BY w.id LIMIT workflow.page_size(max_rows)
    ) AS page CROSS JOIN LATERAL workflow.readable(page::workflow.workflow_execution) AS r ORDER BY r.id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_workflow_executions_by_status(workflow.execution_status, int, bigint) IS
  'Returns the workflow executions with the given status, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_workflow_executions_by_status(workflow.execution_status, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_paused_workflow_executions(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT r.* FROM (
      SELECT w.* FROM workflow.workflow_execution AS w
      WHERE w.paused AND w.id > coalesce(after, 0)
      ORDER BY w.id LIMIT workflow.page_size(max_rows)
    ) AS page CROSS JOIN LATERAL workflow.readable(page::workflow.workflow_execution) AS r ORDER BY r.id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_paused_workflow_executions(int, bigint) IS
  'Returns the workflow executions that are paused, or about to be, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_paused_workflow_executions(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_workflow_executions_by_workflow_def(
  id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := after >> 48;
  place timestamptz := 'infinity';
BEGIN
  PERFORM workflow.require('id', id);
  IF after IS NOT NULL THEN
    SELECT w.created INTO place FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = after;
    IF NOT FOUND THEN
      PERFORM workflow.raise_lost(after);
    END IF;
  END IF;
  -- By created, not by id: ids are in order of age only within a part.
  RETURN QUERY SELECT r.* FROM (
      SELECT w.* FROM workflow.workflow_execution AS w
      WHERE w.workflow_def = id AND (w.created, w.id) < (place, coalesce(after, 0))
      ORDER BY w.created DESC, w.id DESC LIMIT workflow.page_size(max_rows)
    ) AS page CROSS JOIN LATERAL workflow.readable(page::workflow.workflow_execution) AS r ORDER BY r.created DESC, r.id DESC;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_workflow_executions_by_workflow_def(bigint, int, bigint) IS
  'Returns the executions of the definition with the given id, newest first: up to max_rows (1 to 10000) after the one with id after. Errors: WF613; WF616 if that one no longer exists.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_workflow_executions_by_workflow_def(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_create_workflow_execution(
  execution bigint, workflow_def bigint, current_tasks text[] DEFAULT '{}', completed_tasks text[] DEFAULT '{}',
  failed_tasks text[] DEFAULT '{}', skipped_tasks text[] DEFAULT '{}', variables jsonb DEFAULT '{}',
  task_graph jsonb DEFAULT NULL, status workflow.execution_status DEFAULT 'requested', error_message text DEFAULT NULL,
  paused boolean DEFAULT false, pause_reason text DEFAULT NULL)
RETURNS workflow.workflow_execution
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
  home int := execution >> 48;
  made workflow.workflow_execution;
BEGIN
  PERFORM workflow.require_part(home);
  PERFORM workflow.require('execution', execution);
  PERFORM workflow.require('workflow_def', workflow_def);
  PERFORM workflow.require_text_array('current_tasks', current_tasks);
  PERFORM workflow.require_text_array('completed_tasks', completed_tasks);
  PERFORM workflow.require_text_array('failed_tasks', failed_tasks);
  PERFORM workflow.require_text_array('skipped_tasks', skipped_tasks);
  PERFORM workflow.require('variables', nullif(variables, 'null'));
  PERFORM workflow.require('status', status);
  PERFORM workflow.require('paused', paused);
  PERFORM workflow.require_execution(execution);
  PERFORM workflow.require_definition(workflow_def);
  INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, current_tasks, completed_tasks,
    failed_tasks, skipped_tasks, variables, task_graph, status, error_message, paused, pause_reason, created, updated,
    had_failure)
  VALUES (home, execution, execution, workflow_def,
    current_tasks, completed_tasks, failed_tasks, skipped_tasks, variables, task_graph, status, error_message, paused,
    pause_reason, moment, moment, status IN ('failed', 'canceling', 'cancelled', 'timeout', 'abandoned') OR failed_tasks <> '{}')
  ON CONFLICT (id, part) DO NOTHING RETURNING * INTO made;
  IF NOT FOUND THEN
    PERFORM workflow.raise_taken('workflow execution', 'execution', execution::text);
  END IF;
  RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_create_workflow_execution(bigint, bigint, text[], text[], text[], text[], jsonb, jsonb, workflow.execution_status, text, boolean, text) IS
  'Creates a workflow execution that is driven from outside (workflow_start creates one that the engine runs), in the part of its execution, and returns its row. Arguments are the columns of workflow.workflow_execution. Errors: WF613 for a value that is null or malformed; WF616 for an unknown execution or definition; WF617 if the execution already has one.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_create_workflow_execution(bigint, bigint, text[], text[], text[], text[], jsonb, jsonb, workflow.execution_status, text, boolean, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_update_workflow_execution(id bigint, patch jsonb) RETURNS workflow.workflow_execution
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  home int := id >> 48;
  given workflow.workflow_execution;
  run workflow.workflow_execution;
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require_part(home);
  IF NOT workflow.check_patch(patch, 'workflow.workflow_execution',
    '{current_tasks,completed_tasks,failed_tasks,skipped_tasks,variables,task_graph,status,error_message,paused,pause_reason}')
  THEN
    SELECT r.* INTO run FROM pg_catalog.workflow_find_workflow_execution(id) AS r;
  ELSE
    given := jsonb_populate_record(NULL::workflow.workflow_execution, patch);
    UPDATE workflow.workflow_execution AS w SET
      current_tasks = coalesce(given.current_tasks, w.current_tasks),
      completed_tasks = coalesce(given.completed_tasks, w.completed_tasks),
      failed_tasks = coalesce(given.failed_tasks, w.failed_tasks),
      skipped_tasks = coalesce(given.skipped_tasks, w.skipped_tasks),
      variables = coalesce(given.variables, w.variables),
      task_graph = CASE WHEN patch ? 'task_graph' THEN given.task_graph ELSE w.task_graph END,
      status = coalesce(given.status, w.status),
      error_message = CASE WHEN patch ? 'error_message' THEN given.error_message ELSE w.error_message END,
      paused = coalesce(given.paused, w.paused),
      pause_reason = CASE WHEN patch ? 'pause_reason' THEN given.pause_reason ELSE w.pause_reason END,
      updated = moment,
      had_failure = w.had_failure OR coalesce(given.failed_tasks <> '{}', false)
        OR coalesce(given.status IN ('failed', 'canceling', 'cancelled', 'timeout', 'abandoned'), false)
    -- A row never changes its owner, so it need not be locked before the check.
    WHERE w.part = home AND w.id = id AND w.version IS NULL RETURNING w.* INTO run;
    IF NOT FOUND AND EXISTS (SELECT FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = id) THEN
      PERFORM workflow.raise_owned('workflow execution', id,
        'workflow_complete or workflow_fail for its tasks, workflow_pause, workflow_resume, workflow_cancel or workflow_rerun for the execution');
    END IF;
  END IF;
  IF run.id IS NULL THEN
    PERFORM workflow.raise_missing('workflow execution', 'id', id::text);
  END IF;
  RETURN run;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_update_workflow_execution(bigint, jsonb) IS
  'Updates the columns named in the patch, {"column": value, …}; null sets a column to NULL; an empty patch writes nothing. Returns the row. current_tasks, completed_tasks, failed_tasks, skipped_tasks, variables, task_graph, status, error_message, paused and pause_reason can be changed. Errors: WF613, naming the key; WF616 if there is no such workflow execution; WF618 if the engine owns it.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_workflow_execution(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_workflow_execution(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require_part(home);
  IF EXISTS (SELECT FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = id AND w.version IS NOT NULL) THEN
    PERFORM workflow.raise_owned('workflow execution', id, 'workflow_cancel to end it, workflow_prune to delete what has ended');
  END IF;
  DELETE FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = id;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_workflow_execution(bigint) IS
  'Deletes a workflow execution with its tasks; its execution stays. Returns whether it existed. Errors: WF613; WF618 if the engine owns it.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_workflow_execution(bigint) FROM PUBLIC;
