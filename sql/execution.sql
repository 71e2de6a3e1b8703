-- Executions: each is one run of an action.
--
-- A runtime row has one owner. An execution whose workflow execution has a pinned version belongs to the engine, and only
-- the engine changes it; all others are driven from outside, through the functions in this file.

CREATE FUNCTION workflow.owns_execution(id bigint) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  RETURN EXISTS (SELECT FROM workflow.workflow_execution AS w
    WHERE w.part = home AND w.id = id AND w.version IS NOT NULL);
END $$;
COMMENT ON FUNCTION workflow.owns_execution(bigint) IS
  'Whether the engine owns the execution with the given id, because it runs a workflow with a pinned version.';
REVOKE ALL ON FUNCTION workflow.owns_execution(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_execution(id bigint) RETURNS SETOF workflow.execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT e.* FROM workflow.execution AS e WHERE e.part = home AND e.id = id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_execution(bigint) IS
  'Returns the execution with the given id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_execution(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_executions(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT e.* FROM workflow.execution AS e
    WHERE e.id > coalesce(after, 0) ORDER BY e.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_executions(int, bigint) IS
  'Returns all executions, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_executions(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_executions_by_parent(parent_id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.execution
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := parent_id >> 48;
BEGIN
  PERFORM workflow.require('parent_id', parent_id);
  RETURN QUERY SELECT e.* FROM workflow.execution AS e
    WHERE e.part = home AND e.parent = parent_id AND e.id > coalesce(after, 0)
    ORDER BY e.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_executions_by_parent(bigint, int, bigint) IS
  'Returns the children of the execution with the given id, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_executions_by_parent(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.settle_part(part int, parent bigint) RETURNS int
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := coalesce(parent >> 48, part, 0);
BEGIN
  IF part NOT BETWEEN 0 AND 1023 THEN
    PERFORM workflow.raise_error('WF613', 'part is out of range', format('part is %s.', part), 'Use 0 to 1023.');
  ELSIF parent IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.execution AS e WHERE e.part = home AND e.id = parent) THEN
    PERFORM workflow.raise_missing('execution', 'parent', parent::text);
  ELSIF part <> home THEN
    PERFORM workflow.raise_error('WF613', 'part must be the same as the parent''s', format('part is %s, but the parent''s is %s.', part, home),
      'Omit part: all executions of a tree are in the same part.');
  END IF;
  PERFORM workflow.require_part(home);
  RETURN home;
END $$;
COMMENT ON FUNCTION workflow.settle_part(int, bigint) IS
  'Returns the part of a new execution: its parent''s, or else the one given, or 0. Raises WF613 if the given part is out of range or differs from the parent''s, WF616 if there is no such parent.';
REVOKE ALL ON FUNCTION workflow.settle_part(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_create_execution(
  action_ref text, action bigint DEFAULT NULL, config jsonb DEFAULT NULL, parent bigint DEFAULT NULL,
  enforcement bigint DEFAULT NULL, executor bigint DEFAULT NULL, status workflow.execution_status DEFAULT 'requested',
  result jsonb DEFAULT NULL, part int DEFAULT NULL)
RETURNS workflow.execution
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
  home int := workflow.settle_part(part, parent);
  made workflow.execution;
BEGIN
  PERFORM workflow.require('action_ref', action_ref);
  PERFORM workflow.require('status', status);
  PERFORM workflow.require_action(action, action_ref);
  INSERT INTO workflow.execution (part, id, action, action_ref, config, parent, enforcement, executor, status, result, created, updated)
  VALUES (home, workflow.make_id(home, nextval('workflow.execution_id_seq')), action, action_ref, config, parent,
    enforcement, executor, status, result, moment, moment)
  RETURNING * INTO made;
  RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_create_execution(text, bigint, jsonb, bigint, bigint, bigint, workflow.execution_status, jsonb, int) IS
  'Creates an execution that is driven from outside (workflow_start creates one that the engine runs) and returns its row. Arguments are the columns of workflow.execution; part (0 to 1023, default 0) applies to a root only: a child is in its parent''s part. Errors: WF613 for a value that is null or out of range, a part that differs from the parent''s, or an action with another ref; WF616 for an unknown action or parent.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_create_execution(text, bigint, jsonb, bigint, bigint, bigint, workflow.execution_status, jsonb, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_update_execution(id bigint, patch jsonb) RETURNS workflow.execution
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  home int := id >> 48;
  given workflow.execution;
  execution workflow.execution;
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require_part(home);
  IF workflow.check_patch(patch, 'workflow.execution', '{config,enforcement,executor,status,result}') THEN
    IF workflow.owns_execution(id) THEN
      PERFORM workflow.raise_owned('execution', id, 'workflow_complete or workflow_fail for its tasks, workflow_pause, workflow_resume, workflow_cancel or workflow_rerun for the execution');
    END IF;
    given := jsonb_populate_record(NULL::workflow.execution, patch);
    UPDATE workflow.execution AS e SET
      config = CASE WHEN patch ? 'config' THEN given.config ELSE e.config END,
      enforcement = CASE WHEN patch ? 'enforcement' THEN given.enforcement ELSE e.enforcement END,
      executor = CASE WHEN patch ? 'executor' THEN given.executor ELSE e.executor END,
      status = coalesce(given.status, e.status),
      result = CASE WHEN patch ? 'result' THEN given.result ELSE e.result END,
      updated = moment
    WHERE e.part = home AND e.id = id RETURNING e.* INTO execution;
  ELSE
    SELECT e.* INTO execution FROM workflow.execution AS e WHERE e.part = home AND e.id = id;
  END IF;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('execution', 'id', id::text);
  END IF;
  RETURN execution;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_update_execution(bigint, jsonb) IS
  'Updates the columns named in the patch, {"column": value, …}; null sets a column to NULL; an empty patch writes nothing. Returns the row. config, enforcement, executor, status and result can be changed. Errors: WF613, naming the key; WF616 if there is no such execution; WF618 if the engine owns it.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_execution(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_execution(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
  owned bigint;
BEGIN
  PERFORM workflow.require('id', id);
  PERFORM workflow.require_part(home);
  -- Also deleted: its tree, and the tasks whose work is done by an execution of the tree. None of them may belong to the engine.
  WITH RECURSIVE tree (id) AS (
    SELECT e.id FROM workflow.execution AS e WHERE e.part = home AND e.id = id
    UNION ALL
    SELECT e.id FROM tree JOIN workflow.execution AS e ON e.part = home AND e.parent = tree.id)
  SELECT tree.id INTO owned FROM tree
  WHERE EXISTS (SELECT FROM workflow.workflow_execution AS w
      WHERE w.part = home AND w.id = tree.id AND w.version IS NOT NULL)
    OR EXISTS (SELECT FROM workflow.workflow_task_execution AS t
      JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
      WHERE t.part = home AND t.execution = tree.id AND w.version IS NOT NULL)
  ORDER BY tree.id LIMIT 1;
  IF FOUND THEN
    PERFORM workflow.raise_owned('execution', owned, 'workflow_cancel to end it, workflow_prune to delete what has ended');
  END IF;
  DELETE FROM workflow.execution AS e WHERE e.part = home AND e.id = id;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_execution(bigint) IS
  'Deletes an execution and everything that belongs to it: its children, workflow executions and tasks. Returns whether it existed. Errors: WF613; WF618 if the engine owns any of these.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_execution(bigint) FROM PUBLIC;
