-- Definitions as rows: the current head of each workflow.
--
-- workflow_define is what stores a definition that the engine can run: it checks the text, keeps it as a version and
-- writes the head. workflow_create_definition writes a head alone, for those who run their workflows from outside. What
-- a version settled (schemas, version, definition) can be changed by workflow_define only.

-- Sessions keep compiled definitions by the version's id, which can come again once a row is gone. As with actions
-- (sql/action.sql), whoever writes to the table tells them; what is replicated from elsewhere, too.
CREATE FUNCTION workflow.forget_definitions() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_forget_definitions_wrapper';
COMMENT ON FUNCTION workflow.forget_definitions() IS
  'Lets every session forget, with the commit, the definitions that it has compiled: a trigger of workflow.workflow_definition_version.';
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
COMMENT ON FUNCTION pg_catalog.workflow_find_definition(bigint) IS 'The definition with that id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_definition(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_definition_by_ref(ref text) RETURNS SETOF workflow.workflow_definition
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('ref', ref);
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d WHERE d.ref = ref;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_definition_by_ref(text) IS
  'The definition with that ref, or no row. Errors: WF613.';
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
  'All definitions, in order of id: max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613.';
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
  'The definitions of a pack, in order of id: max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613.';
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
  'The definitions that may be started, in order of id: max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613.';
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
  -- @> and not = ANY: only the former uses the GIN index.
  RETURN QUERY SELECT d.* FROM workflow.workflow_definition AS d
    WHERE d.tags @> ARRAY[tag] AND (after IS NULL OR (d.label, d.id) > (place, after))
    ORDER BY d.label, d.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_definitions_by_tag(text, int, bigint) IS
  'The definitions with exactly that tag, in order of label, then id: max_rows of them (1 to 10000) behind the one whose id is after. Errors: WF613; WF616 where that one is gone.';
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
  PERFORM workflow.require_words('tags', tags);
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
  'Makes a definition as plain data, which the engine does not run (workflow_define is for that), and returns its row. Arguments are the columns of workflow.workflow_definition; ref must begin with the pack''s, which pack_ref may repeat. Errors: WF613 for a value that is null, malformed or of another pack; WF616 for an unknown pack; WF617 where the ref is taken.';
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
    -- Locked, so that workflow_define cannot make a version between the question and the update.
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
  'Writes the columns that the patch, {"column": value, …}, names; null sets one back to NULL; an empty patch writes nothing. Returns the row. label, description, tags and enabled can be changed, and of one that workflow_define did not make also version, param_schema, out_schema and definition. Errors: WF613, naming the key; WF616; WF618.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_definition(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_definition(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  DELETE FROM workflow.workflow_definition AS d WHERE d.id = id;
  RETURN FOUND;
EXCEPTION WHEN foreign_key_violation THEN
  PERFORM workflow.raise_error('WF611', 'the workflow has executions', format('id is %s', id),
    'delete them first: workflow_prune, or workflow_delete_execution for those driven from outside');
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_definition(bigint) IS
  'Deletes a definition with its versions; an action linked to it stays, unlinked. Returns whether it was there. Errors: WF611 while it has executions; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_definition(bigint) FROM PUBLIC;
