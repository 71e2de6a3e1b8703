-- Packs: named sets of actions and workflows.

CREATE FUNCTION pg_catalog.workflow_find_pack(id bigint) RETURNS SETOF workflow.pack
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  RETURN QUERY SELECT p.* FROM workflow.pack AS p WHERE p.id = id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_pack(bigint) IS
  'Returns the pack with the given id, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_pack(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_pack_by_ref(ref text) RETURNS SETOF workflow.pack
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('ref', ref);
  RETURN QUERY SELECT p.* FROM workflow.pack AS p WHERE p.ref = ref;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_pack_by_ref(text) IS
  'Returns the pack with the given ref, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_pack_by_ref(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_packs(max_rows int DEFAULT 100, after bigint DEFAULT NULL) RETURNS SETOF workflow.pack
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT p.* FROM workflow.pack AS p
    WHERE p.id > coalesce(after, 0) ORDER BY p.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_packs(int, bigint) IS
  'Returns all packs, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_packs(int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_create_pack(
  ref text, label text, version text, description text DEFAULT NULL, conf_schema jsonb DEFAULT NULL,
  config jsonb DEFAULT NULL, meta jsonb DEFAULT '{}', tags text[] DEFAULT '{}', is_standard boolean DEFAULT false)
RETURNS workflow.pack
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
  made workflow.pack;
BEGIN
  PERFORM workflow.require('ref', ref);
  PERFORM workflow.check_key('ref', ref);
  IF ref COLLATE "C" !~ '^[a-z][a-z0-9_-]+$' THEN
    PERFORM workflow.raise_error('WF613', 'ref is malformed', format('ref is %s.', quote_literal(left(ref, 200))),
      'Begin with a letter, followed by at least one letter, digit, _ or -, all in lower case.');
  END IF;
  PERFORM workflow.require('label', label);
  PERFORM workflow.require('version', version);
  PERFORM workflow.require('meta', nullif(meta, 'null'));
  PERFORM workflow.require_text_array('tags', tags);
  PERFORM workflow.require('is_standard', is_standard);
  INSERT INTO workflow.pack (ref, label, version, description, conf_schema, config, meta, tags, is_standard, created, updated)
  VALUES (ref, label, version, description, conf_schema, config, meta, tags, is_standard, moment, moment)
  ON CONFLICT (ref) DO NOTHING RETURNING * INTO made;
  IF NOT FOUND THEN
    PERFORM workflow.raise_taken('pack', 'ref', ref);
  END IF;
  RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_create_pack(text, text, text, text, jsonb, jsonb, jsonb, text[], boolean) IS
  'Creates a pack and returns its row. Arguments are the columns of workflow.pack. Errors: WF613 for a value that is null, malformed or out of range; WF617 if the ref is taken.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_create_pack(text, text, text, text, jsonb, jsonb, jsonb, text[], boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_update_pack(id bigint, patch jsonb) RETURNS workflow.pack
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  given workflow.pack;
  pack workflow.pack;
BEGIN
  PERFORM workflow.require('id', id);
  IF workflow.check_patch(patch, 'workflow.pack',
    '{label,description,version,conf_schema,config,meta,tags,is_standard}')
  THEN
    given := jsonb_populate_record(NULL::workflow.pack, patch);
    UPDATE workflow.pack AS p SET
      label = coalesce(given.label, p.label),
      description = CASE WHEN patch ? 'description' THEN given.description ELSE p.description END,
      version = coalesce(given.version, p.version),
      conf_schema = CASE WHEN patch ? 'conf_schema' THEN given.conf_schema ELSE p.conf_schema END,
      config = CASE WHEN patch ? 'config' THEN given.config ELSE p.config END,
      meta = coalesce(given.meta, p.meta),
      tags = coalesce(given.tags, p.tags),
      is_standard = coalesce(given.is_standard, p.is_standard),
      updated = moment
    WHERE p.id = id RETURNING p.* INTO pack;
  ELSE
    SELECT p.* INTO pack FROM workflow.pack AS p WHERE p.id = id;
  END IF;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('pack', 'id', id::text);
  END IF;
  RETURN pack;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_update_pack(bigint, jsonb) IS
  'Updates the columns named in the patch, {"column": value, …}; null sets a column to NULL; an empty patch writes nothing. Returns the row. label, description, version, conf_schema, config, meta, tags and is_standard can be changed. Errors: WF613, naming the key; WF616 if there is no such pack.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_update_pack(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_pack(id bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('id', id);
  DELETE FROM workflow.pack AS p WHERE p.id = id;
  RETURN FOUND;
EXCEPTION WHEN foreign_key_violation THEN
  PERFORM workflow.raise_error('WF611', 'a workflow of the pack has executions', format('id is %s.', id),
    'Delete them first, with workflow_prune, or with workflow_delete_execution if they are driven from outside.');
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_pack(bigint) IS
  'Deletes a pack with its actions and definitions. Returns whether it existed. Errors: WF611 if one of its workflows has executions; WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_pack(bigint) FROM PUBLIC;
