-- Definitions as rows: the current head of each workflow.
--
-- Definitions that the engine can run are stored by workflow_define: it checks the text, stores it as a version and writes
-- the head. workflow_create_definition writes only a head, for workflows that are driven from outside. Columns fixed by a
-- version (schemas, version, definition) can be changed only by workflow_define.

-- Sessions cache compiled definitions by version id, which may be reused once a row is gone. As with actions
-- (sql/action.sql), every write to the table notifies them, including those replicated from elsewhere.
CREATE FUNCTION workflow.forget_definitions() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_forget_definitions_wrapper';
COMMENT ON FUNCTION workflow.forget_definitions() IS
  'Trigger of workflow.workflow_definition_version: makes every session discard its compiled definitions at commit.';
REVOKE ALL ON FUNCTION workflow.forget_definitions() FROM PUBLIC;
CREATE TRIGGER forget_definitions AFTER INSERT OR UPDATE OR DELETE ON workflow.workflow_definition_version
FOR EACH ROW EXECUTE FUNCTION workflow.forget_definitions();
ALTER TABLE workflow.workflow_definition_version ENABLE ALWAYS TRIGGER forget_definitions;

CREATE FUNCTION pg_catalog.workflow_find_definition(id bigint) RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d WHERE d.id = id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_definition(bigint) IS
  'Returns the definition with the given id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_definition(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_definition_by_ref(ref text) RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('ref', ref);
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d WHERE d.ref = ref;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_definition_by_ref(text) IS
  'Returns the definition with the given ref, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_definition_by_ref(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_definitions(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d
    WHERE d.id > coalesce(after, 0) ORDER BY d.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_definitions(int, bigint) IS
  'Returns all definitions, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_definitions(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_definitions_by_pack(pack_id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('pack_id', pack_id);
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d
    WHERE d.pack = pack_id AND d.id > coalesce(after, 0) ORDER BY d.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_definitions_by_pack(bigint, int, bigint) IS
  'Returns the definitions of the pack with the given id, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_definitions_by_pack(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_enabled_definitions(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d
    WHERE d.enabled AND d.id > coalesce(after, 0) ORDER BY d.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_enabled_definitions(int, bigint) IS
  'Returns the definitions that can be started, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_enabled_definitions(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_definitions_by_tag(tag text, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  place text;
BEGIN
  PERFORM workflow.require('tag', tag);
  IF after IS NOT NULL THEN
    SELECT d.label INTO place FROM workflow.workflow_definition AS d WHERE d.id = after;
    IF NOT FOUND THEN
      PERFORM workflow.raise_lost(after);
    END IF;
  END IF;
  -- @> rather than = ANY, which does not use the GIN index.
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d
    WHERE d.tags @> ARRAY[tag] AND (after IS NULL OR (d.label, d.id) > (place, after))
    ORDER BY d.label, d.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_definitions_by_tag(text, int, bigint) IS
  'Returns the definitions with exactly the given tag, in order of label, then id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613; WF616 if that one no longer exists.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_definitions_by_tag(text, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_create_definition(
  ref text, pack bigint, label text, version text, definition jsonb, pack_ref text DEFAULT NULL,
  description text DEFAULT NULL, param_schema jsonb DEFAULT NULL, out_schema jsonb DEFAULT NULL,
  tags text[] DEFAULT '{}', enabled boolean DEFAULT true)
RETURNS workflow.workflow_definition
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
  home text := workflow.require_pack(pack, pack_ref);
  made workflow.workflow_definition;
BEGIN
  PERFORM workflow.require_ref(ref, home);
  PERFORM workflow.require('label', label);
  PERFORM workflow.require('version', version);
  PERFORM workflow.require('definition', nullif(definition, 'null'));
  PERFORM workflow.require_text_array('tags', tags);
  PERFORM workflow.require('enabled', enabled);
  INSERT INTO workflow.workflow_definition (ref, pack, pack_ref, label, description, version, param_schema, out_schema,
    definition, tags, enabled, created, updated)
  VALUES (ref, pack, home, label, description, version, param_schema, out_schema,
    definition, tags, enabled, moment, moment)
  ON CONFLICT (ref) DO NOTHING RETURNING * INTO made;
  IF NOT FOUND THEN
    PERFORM workflow.raise_taken('definition', 'ref', ref);
  END IF;
  RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_create_definition(text, bigint, text, text, jsonb, text, text, jsonb, jsonb, text[], boolean) IS
  'Creates a definition as plain data, which the engine does not run (workflow_define is for that), and returns its row. Arguments are the columns of workflow.workflow_definition; ref must start with the pack''s ref, which pack_ref may repeat. Errors: WF613 for a value that is null, malformed or of another pack; WF616 for an unknown pack; WF617 if the ref is taken.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_create_definition(text, bigint, text, text, jsonb, text, text, jsonb, jsonb, text[], boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_update_definition(id bigint, patch jsonb) RETURNS workflow.workflow_definition
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  given workflow.workflow_definition;
  definition workflow.workflow_definition;
BEGIN
  PERFORM workflow.require('id', id);
  IF workflow.check_patch(patch, 'workflow.workflow_definition',
    '{label,description,version,param_schema,out_schema,definition,tags,enabled}')
  THEN
    given := jsonb_populate_record(NULL::workflow.workflow_definition, patch);
    -- Locked, so that workflow_define cannot create a version between this check and the update.
    IF patch ?| '{version,param_schema,out_schema,definition}' AND (
      SELECT d.current_version IS NOT NULL FROM workflow.workflow_definition AS d WHERE d.id = id FOR UPDATE)
    THEN
      PERFORM workflow.raise_owned('definition', id, 'workflow_define; only label, description, tags and enabled can be patched');
    END IF;
    UPDATE workflow.workflow_definition AS d SET
      label = coalesce(given.label, d.label),
      description = CASE WHEN patch ? 'description' THEN given.description ELSE d.description END,
      version = coalesce(given.version, d.version),
      param_schema = CASE WHEN patch ? 'param_schema' THEN given.param_schema ELSE d.param_schema END,
      out_schema = CASE WHEN patch ? 'out_schema' THEN given.out_schema ELSE d.out_schema END,
      definition = coalesce(given.definition, d.definition),
      tags = coalesce(given.tags, d.tags),
      enabled = coalesce(given.enabled, d.enabled),
      updated = moment
    WHERE d.id = id RETURNING d.* INTO definition;
  ELSE
    SELECT d.* INTO definition FROM workflow.workflow_definition AS d WHERE d.id = id;
  END IF;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('definition', 'id', id::text);
  END IF;
  RETURN definition;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_update_definition(bigint, jsonb) IS
  'Updates the columns named in the patch, {"column": value, …}; null sets a column to NULL; an empty patch writes nothing. Returns the row. label, description, tags and enabled can be changed; also version, param_schema, out_schema and definition if the row was not created by workflow_define. Errors: WF613, naming the key; WF616 if there is no such definition; WF618 for a column that only workflow_define may change.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_definition(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_definition(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  DELETE FROM workflow.workflow_definition AS d WHERE d.id = id;
  RETURN FOUND;
EXCEPTION WHEN foreign_key_violation THEN
  PERFORM workflow.raise_error('WF611', 'the workflow has executions', format('id is %s.', id),
    'Delete them first, with workflow_prune, or with workflow_delete_execution if they are driven from outside.');
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_definition(bigint) IS
  'Deletes a definition with its versions, holds and weights; an action linked to it stays, unlinked. Returns whether it existed. Errors: WF611 if it has executions; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_definition(bigint) FROM PUBLIC;
