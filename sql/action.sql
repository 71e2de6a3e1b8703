-- Actions: what workers can execute, and workflows that stand for an action.

-- Sessions cache which actions are workflows, because every new task requires this. So they must be notified of every
-- change, whoever makes it, including changes replicated from elsewhere. The trigger writes nothing, so it is harmless
-- during a restore.
CREATE FUNCTION workflow.forget_actions() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_forget_actions_wrapper';
COMMENT ON FUNCTION workflow.forget_actions() IS
  'Trigger of workflow.action: makes every session discard its cached actions at commit.';
REVOKE ALL ON FUNCTION workflow.forget_actions() FROM PUBLIC;
CREATE TRIGGER forget_actions AFTER INSERT OR UPDATE OR DELETE ON workflow.action
FOR EACH ROW EXECUTE FUNCTION workflow.forget_actions();
ALTER TABLE workflow.action ENABLE ALWAYS TRIGGER forget_actions;

CREATE FUNCTION pg_catalog.workflow_find_action(id bigint) RETURNS SETOF workflow.action
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT a.* FROM workflow.action AS a WHERE a.id = id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_action(bigint) IS
  'Returns the action with the given id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_action(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_action_by_ref(ref text) RETURNS SETOF workflow.action
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('ref', ref);
  RETURN QUERY SELECT a.* FROM workflow.action AS a WHERE a.ref = ref;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_action_by_ref(text) IS
  'Returns the action with the given ref, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_action_by_ref(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_actions(max_rows int DEFAULT 100, after bigint DEFAULT NULL) RETURNS SETOF workflow.action
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.action AS a
    WHERE a.id > coalesce(after, 0) ORDER BY a.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_actions(int, bigint) IS
  'Returns all actions, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_actions(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_workflow_actions(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.action
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.action AS a
    WHERE a.is_workflow AND a.id > coalesce(after, 0) ORDER BY a.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_workflow_actions(int, bigint) IS
  'Returns the actions that a workflow stands for, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_workflow_actions(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_actions_by_workflow_def(id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.action
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT a.* FROM workflow.action AS a
    WHERE a.workflow_def = id AND a.id > coalesce(after, 0) ORDER BY a.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_actions_by_workflow_def(bigint, int, bigint) IS
  'Returns the actions that the definition with the given id stands for, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_actions_by_workflow_def(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_create_action(
  ref text, pack bigint, label text, pack_ref text DEFAULT NULL, description text DEFAULT '', entrypoint text DEFAULT '',
  runtime bigint DEFAULT NULL, param_schema jsonb DEFAULT NULL, out_schema jsonb DEFAULT NULL,
  is_workflow boolean DEFAULT false, workflow_def bigint DEFAULT NULL)
RETURNS workflow.action
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
  home text := workflow.require_pack(pack, pack_ref);
  made workflow.action;
BEGIN
  PERFORM workflow.require_ref(ref, home);
  PERFORM workflow.require('label', label);
  PERFORM workflow.require('description', description);
  PERFORM workflow.require('entrypoint', entrypoint);
  PERFORM workflow.require('is_workflow', is_workflow);
  PERFORM workflow.require_definition(workflow_def);
  INSERT INTO workflow.action (ref, pack, pack_ref, label, description, entrypoint, runtime, param_schema, out_schema,
    is_workflow, workflow_def, created, updated)
  VALUES (ref, pack, home, label, description, entrypoint, runtime, param_schema, out_schema,
    is_workflow, workflow_def, moment, moment)
  ON CONFLICT (ref) DO NOTHING RETURNING * INTO made;
  IF NOT FOUND THEN
    PERFORM workflow.raise_taken('action', 'ref', ref);
  END IF;
  RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_create_action(text, bigint, text, text, text, text, bigint, jsonb, jsonb, boolean, bigint) IS
  'Creates an action and returns its row. Arguments are the columns of workflow.action; ref must start with the pack''s ref, which pack_ref may repeat. Errors: WF613 for a value that is null, malformed or of another pack; WF616 for an unknown pack or definition; WF617 if the ref is taken.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_create_action(text, bigint, text, text, text, text, bigint, jsonb, jsonb, boolean, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_update_action(id bigint, patch jsonb) RETURNS workflow.action
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  given workflow.action;
  action workflow.action;
BEGIN
  PERFORM workflow.require('id', id);
  IF workflow.check_patch(patch, 'workflow.action',
    '{label,description,entrypoint,runtime,param_schema,out_schema,is_workflow,workflow_def}')
  THEN
    given := jsonb_populate_record(NULL::workflow.action, patch);
    PERFORM workflow.require_definition(given.workflow_def);
    UPDATE workflow.action AS a SET
      label = coalesce(given.label, a.label),
      description = coalesce(given.description, a.description),
      entrypoint = coalesce(given.entrypoint, a.entrypoint),
      runtime = CASE WHEN patch ? 'runtime' THEN given.runtime ELSE a.runtime END,
      param_schema = CASE WHEN patch ? 'param_schema' THEN given.param_schema ELSE a.param_schema END,
      out_schema = CASE WHEN patch ? 'out_schema' THEN given.out_schema ELSE a.out_schema END,
      is_workflow = coalesce(given.is_workflow, a.is_workflow),
      workflow_def = CASE WHEN patch ? 'workflow_def' THEN given.workflow_def ELSE a.workflow_def END,
      updated = moment
    WHERE a.id = id RETURNING a.* INTO action;
  ELSE
    SELECT a.* INTO action FROM workflow.action AS a WHERE a.id = id;
  END IF;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('action', 'id', id::text);
  END IF;
  RETURN action;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_update_action(bigint, jsonb) IS
  'Updates the columns named in the patch, {"column": value, …}; null sets a column to NULL; an empty patch writes nothing. Returns the row. label, description, entrypoint, runtime, param_schema, out_schema, is_workflow and workflow_def can be changed. Errors: WF613, naming the key; WF616 if there is no such action or definition.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_action(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_link_action(action_id bigint, workflow_def_id bigint) RETURNS workflow.action
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  action workflow.action;
BEGIN
  PERFORM workflow.require('action_id', action_id);
  PERFORM workflow.require('workflow_def_id', workflow_def_id);
  PERFORM workflow.require_definition(workflow_def_id);
  UPDATE workflow.action AS a SET is_workflow = true, workflow_def = workflow_def_id, updated = moment
  WHERE a.id = action_id RETURNING a.* INTO action;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('action', 'id', action_id::text);
  END IF;
  RETURN action;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_link_action(bigint, bigint) IS
  'Makes a workflow stand for an action: sets is_workflow and workflow_def, and returns the action. Errors: WF613; WF616 for an unknown action or definition.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_link_action(bigint, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_action(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  DELETE FROM workflow.action AS a WHERE a.id = id;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_action(bigint) IS
  'Deletes an action and its holds; its executions stay and keep its ref. Returns whether it existed. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_action(bigint) FROM PUBLIC;
