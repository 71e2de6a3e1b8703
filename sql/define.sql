-- Validating and storing definitions, and registering actions.

CREATE FUNCTION pg_catalog.workflow_validate(source text)
RETURNS TABLE (code text, severity text, category text, message text, hint text, path text, task text, expression text, line int, "column" int)
LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_validate_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_validate(text) IS
  'Returns everything that is wrong with a definition (YAML or JSON text), in source order: one row per finding with its code (WF001 to WF509), severity (error or warning), category, message, hint, path in the document, the task and the expression concerned, and the line and column in the source, counted from 1. If there are no rows, the definition can be stored as it is. Error: WF613 for null.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_validate(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_test(source text, script jsonb)
RETURNS TABLE (test text, passed boolean, differences jsonb, took interval)
LANGUAGE c STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_test_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_test(text, jsonb) IS
  'Plays a definition (YAML or JSON text) in memory and in virtual time, with the answers of a test script in place of workers, and compares what happens with what the script expects. Returns one row per test: its name, whether it passed, every expectation that was not met (an array of objects with what, expected, got, hint and line), and how long the execution took in virtual time. Actions are not looked up, and nothing is stored. Errors: WF613 for null; the code of the first error in the definition or in the script, with all findings as JSON in the detail.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_test(text, jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.define(source text, now timestamptz) RETURNS bigint
LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_define_wrapper';
COMMENT ON FUNCTION workflow.define(text, timestamptz) IS
  'Stores a definition that has no errors: its pack, its head, its action, and a new version unless it equals the current one. Returns the id of the definition.';
REVOKE ALL ON FUNCTION workflow.define(text, timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_define(source text) RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  definition_id bigint;
BEGIN
  PERFORM workflow.require('source', source);
  definition_id := workflow.define(source, workflow.now());
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition d WHERE d.id = definition_id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_define(text) IS
  'Validates a definition (YAML or JSON text), stores it as a new version of its workflow unless it is identical to the current one (a notice says if the text has changed but its version has not), and registers the workflow as an action with the same ref, creating its pack if necessary. Returns the definition''s row. Running executions keep the version they started with. Errors: the code of the first error that workflow_validate finds, with all findings as JSON in the detail; WF613 for null.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_define(text) FROM PUBLIC;

CREATE FUNCTION workflow.upsert_pack(ref text, now timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found bigint;
BEGIN
  SELECT p.id INTO found FROM workflow.pack p WHERE p.ref = upsert_pack.ref;
  IF found IS NULL THEN
    INSERT INTO workflow.pack AS p (ref, label, version, created, updated) VALUES (upsert_pack.ref, upsert_pack.ref, '1.0.0', now, now)
    ON CONFLICT ON CONSTRAINT pack_ref_key DO UPDATE SET updated = p.updated RETURNING p.id INTO found;
  END IF;
  RETURN found;
END $$;
COMMENT ON FUNCTION workflow.upsert_pack(text, timestamptz) IS
  'Returns the id of the pack with the given ref, creating it if there is none.';
REVOKE ALL ON FUNCTION workflow.upsert_pack(text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.store_definition(ref text, label text, description text, version text, param_schema jsonb, out_schema jsonb,
  definition jsonb, tags text[], enabled boolean, source text, graph jsonb, sha256 bytea, now timestamptz) RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  pack_ref text := split_part(store_definition.ref, '.', 1);
  pack_id bigint := workflow.upsert_pack(pack_ref, now);
  head workflow.workflow_definition;
  current_sha256 bytea;
  version_id bigint;
BEGIN
  INSERT INTO workflow.workflow_definition AS d (ref, pack, pack_ref, label, version, definition, created, updated)
  VALUES (store_definition.ref, pack_id, pack_ref, store_definition.label, store_definition.version, store_definition.definition, now, now)
  ON CONFLICT ON CONSTRAINT workflow_definition_ref_key DO NOTHING;
  -- Concurrent definitions of the same workflow wait here, so that versions are numbered without gaps.
  SELECT d.* INTO head FROM workflow.workflow_definition d WHERE d.ref = store_definition.ref FOR NO KEY UPDATE;
  SELECT v.sha256 INTO current_sha256 FROM workflow.workflow_definition_version v WHERE v.id = head.current_version;
  IF current_sha256 IS DISTINCT FROM store_definition.sha256 THEN
    IF head.current_version IS NOT NULL AND head.version = store_definition.version THEN
      RAISE NOTICE 'workflow % has changed, but its version is still %', store_definition.ref, store_definition.version
        USING HINT = 'Change the version along with the definition, so that people can tell them apart.';
    END IF;
    INSERT INTO workflow.workflow_definition_version (workflow_def, number, source, definition, graph, sha256, created, updated)
    VALUES (head.id,
      (SELECT coalesce(max(v.number), 0) + 1 FROM workflow.workflow_definition_version v WHERE v.workflow_def = head.id),
      store_definition.source, store_definition.definition, store_definition.graph, store_definition.sha256, now, now)
    RETURNING id INTO version_id;
    UPDATE workflow.workflow_definition d
    SET label = store_definition.label, description = store_definition.description, version = store_definition.version,
        param_schema = store_definition.param_schema, out_schema = store_definition.out_schema,
        definition = store_definition.definition, tags = store_definition.tags, enabled = store_definition.enabled,
        current_version = version_id, updated = now
    WHERE d.id = head.id;
    PERFORM workflow.plan_retention(head.id, store_definition.definition, now);
    PERFORM workflow.plan_concurrency(store_definition.ref, (store_definition.definition #>> '{concurrency,max}')::int, now);
  END IF;
  INSERT INTO workflow.action AS a (ref, pack, pack_ref, label, description, param_schema, out_schema, is_workflow, workflow_def, created, updated)
  VALUES (store_definition.ref, pack_id, pack_ref, store_definition.label, coalesce(store_definition.description, ''),
    store_definition.param_schema, store_definition.out_schema, true, head.id, now, now)
  ON CONFLICT ON CONSTRAINT action_ref_key DO UPDATE
  SET label = excluded.label, description = excluded.description, param_schema = excluded.param_schema,
      out_schema = excluded.out_schema, is_workflow = true, workflow_def = excluded.workflow_def, updated = excluded.updated;
  RETURN head.id;
END $$;
COMMENT ON FUNCTION workflow.store_definition(text, text, text, text, jsonb, jsonb, jsonb, text[], boolean, text, jsonb, bytea, timestamptz) IS
  'Stores a validated definition: pack, head, version and action. Returns the id of the head.';
REVOKE ALL ON FUNCTION workflow.store_definition(text, text, text, text, jsonb, jsonb, jsonb, text[], boolean, text, jsonb, bytea, timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_register_action(ref text, label text DEFAULT NULL, description text DEFAULT NULL,
  entrypoint text DEFAULT NULL, runtime bigint DEFAULT NULL, param_schema jsonb DEFAULT NULL, out_schema jsonb DEFAULT NULL,
  limits jsonb DEFAULT NULL)
RETURNS SETOF workflow.action
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now timestamptz := workflow.now();
  pack_ref text := split_part(workflow_register_action.ref, '.', 1);
  pack_id bigint;
BEGIN
  PERFORM workflow.require('ref', ref);
  PERFORM workflow.require_ref(ref, pack_ref);
  IF EXISTS (SELECT FROM workflow.action a WHERE a.ref = workflow_register_action.ref AND a.is_workflow) THEN
    PERFORM workflow.raise_error('WF617', format('action %s is a workflow', ref), NULL, 'Redefine the workflow, or choose another ref.');
  END IF;
  pack_id := workflow.upsert_pack(pack_ref, now);
  RETURN QUERY
  INSERT INTO workflow.action AS a (ref, pack, pack_ref, label, description, entrypoint, runtime, param_schema, out_schema, limits, created, updated)
  VALUES (workflow_register_action.ref, pack_id, pack_ref, coalesce(workflow_register_action.label, workflow_register_action.ref),
    coalesce(workflow_register_action.description, ''), coalesce(workflow_register_action.entrypoint, ''), workflow_register_action.runtime,
    workflow_register_action.param_schema, workflow_register_action.out_schema,
    workflow.require_limits(workflow_register_action.limits), now, now)
  ON CONFLICT ON CONSTRAINT action_ref_key DO UPDATE
  SET label = excluded.label, description = excluded.description, entrypoint = excluded.entrypoint, runtime = excluded.runtime,
      param_schema = excluded.param_schema, out_schema = excluded.out_schema, limits = excluded.limits, updated = excluded.updated
  RETURNING a.*;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_register_action(text, text, text, text, bigint, jsonb, jsonb, jsonb) IS
  'Registers an action that workers can execute, creating its pack if necessary; if the ref exists, all its properties are replaced. ref: pack.name, lowercase. label: null means the ref. param_schema, out_schema: JSON Schemas of input and result. limits: the limits that apply to all its tasks, as an array of names, or of objects with a name and a key, which may be a template that reads the input: [{"name": "payments", "key": "{{ input.tenant }}"}]. Existing tasks are not affected. Returns the action''s row. Errors: WF613 for a ref that is null or malformed, and for malformed limits; WF616 for a limit that does not exist; WF617 if a workflow has that ref.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_register_action(text, text, text, text, bigint, jsonb, jsonb, jsonb) FROM PUBLIC;
