-- Checks shared by the functions of the data layer.
--
-- The functions of a table live in a file named after it: find, list, create, update, delete. They all follow the same rules:
--
-- * They run with the caller's privileges (SECURITY INVOKER): they give nobody access to a table that the caller lacks.
-- * They are static plpgsql, whose plans are cached; before PostgreSQL 18, a LANGUAGE sql function would be planned at every
--   call. Small expressions that the planner should inline are SQL functions with a body parsed at creation: no search_path
--   can change their meaning, so they set none, which is what allows them to be inlined.
-- * A variable takes precedence over a column of the same name, and every column is qualified with its table. INSERT … ON
--   CONFLICT reverses the precedence, because conflict columns cannot be qualified.
-- * A list returns up to max_rows rows and continues after `after`, the id of the last row of the previous page. In lists that
--   are not in order of id, that row is looked up to find its position; if it no longer has one, that is an error, because an
--   empty page would look like the end.
-- * A patch is a jsonb object of columns to write. null sets a column to NULL; columns that are left out do not change.

CREATE FUNCTION workflow.raise_missing(noun text, key text, value text) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.raise_error('WF616', format('there is no such %s', noun), format('%s is %s.', key, value),
    format('List existing ones with workflow_list_%ss.', replace(noun, ' ', '_')));
END $$;
COMMENT ON FUNCTION workflow.raise_missing(text, text, text) IS
  'Raises WF616 for a row that does not exist, given the kind of row ("task execution") and the key and value it was looked up by.';
REVOKE ALL ON FUNCTION workflow.raise_missing(text, text, text) FROM PUBLIC;

CREATE FUNCTION workflow.raise_taken(noun text, key text, value text) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.raise_error('WF617', format('another %s already has this %s', noun, key),
    format('%s is %s.', key, value), format('Choose another %s, or update the existing row.', key));
END $$;
COMMENT ON FUNCTION workflow.raise_taken(text, text, text) IS
  'Raises WF617 for a second row with the same key, given the kind of row and the key and value that must be unique.';
REVOKE ALL ON FUNCTION workflow.raise_taken(text, text, text) FROM PUBLIC;

CREATE FUNCTION workflow.raise_owned(noun text, id bigint, instead text) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.raise_error('WF618', format('the engine owns this %s', noun), format('id is %s.', id),
    format('Use %s.', instead));
END $$;
COMMENT ON FUNCTION workflow.raise_owned(text, bigint, text) IS
  'Raises WF618 for a row that only the engine may change, given the kind of row, its id, and the functions to use instead.';
REVOKE ALL ON FUNCTION workflow.raise_owned(text, bigint, text) FROM PUBLIC;

CREATE FUNCTION workflow.raise_lost(after bigint) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.raise_error('WF616', 'the row that after refers to is no longer in the list', format('after is %s.', after),
    'Start over without after.');
END $$;
COMMENT ON FUNCTION workflow.raise_lost(bigint) IS
  'Raises WF616 for a cursor, the id given as after, that no longer has a position in its list.';
REVOKE ALL ON FUNCTION workflow.raise_lost(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.require_text_array(name text, value text[]) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require(name, value);
  IF array_ndims(value) > 1 OR array_position(value, NULL) IS NOT NULL THEN
    PERFORM workflow.raise_error('WF613', format('%s must be a one-dimensional array without nulls', name), format('%s is %s.', name, left(value::text, 200)),
      'Pass a one-dimensional text array, and leave out null elements.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_text_array(text, text[]) IS
  'Raises WF613, naming the argument, if its value is null, contains nulls or has several dimensions.';
REVOKE ALL ON FUNCTION workflow.require_text_array(text, text[]) FROM PUBLIC;

CREATE FUNCTION workflow.require_count(name text, value bigint) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF value < 0 THEN
    PERFORM workflow.raise_error('WF613', format('%s must not be negative', name), format('%s is %s.', name, value),
      format('Set %s to 0 or more.', name));
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_count(text, bigint) IS
  'Raises WF613, naming the argument, if its value is negative; null passes.';
REVOKE ALL ON FUNCTION workflow.require_count(text, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.require_time(name text, value timestamptz) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF NOT isfinite(value) THEN
    PERFORM workflow.raise_error('WF613', format('%s must be finite', name), format('%s is %s.', name, value),
      format('Set %s to a finite timestamp.', name));
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_time(text, timestamptz) IS
  'Raises WF613, naming the argument, if its value is infinite; null passes.';
REVOKE ALL ON FUNCTION workflow.require_time(text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.require_ref(ref text, pack_ref text) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('ref', ref);
  PERFORM workflow.check_key('ref', ref);
  IF ref COLLATE "C" !~ '^[a-z][a-z0-9_-]+(\.[a-z0-9_-]+)+$' THEN
    PERFORM workflow.raise_error('WF613', 'ref is malformed', format('ref is %s.', quote_literal(left(ref, 200))),
      'Write pack.name with lower-case letters, digits, _ and -; the pack must have at least two characters and begin with a letter.');
  ELSIF NOT starts_with(ref, pack_ref || '.') THEN
    PERFORM workflow.raise_error('WF613', 'ref does not belong to the pack', format('ref is %s, but the pack is %s.', ref, pack_ref),
      format('Begin ref with "%s.".', pack_ref));
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_ref(text, text) IS
  'Raises WF613 if the ref of an action or definition is null, is not pack.name in lowercase, or names another pack.';
REVOKE ALL ON FUNCTION workflow.require_ref(text, text) FROM PUBLIC;

CREATE FUNCTION workflow.require_pack(pack bigint, pack_ref text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  found_ref text;
BEGIN
  PERFORM workflow.require('pack', pack);
  SELECT p.ref INTO found_ref FROM workflow.pack AS p WHERE p.id = pack;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('pack', 'id', pack::text);
  ELSIF pack_ref <> found_ref THEN
    PERFORM workflow.raise_error('WF613', 'pack_ref does not match the pack',
      format('pack_ref is %s, but the pack is %s.', left(pack_ref, 200), found_ref), 'Omit pack_ref, or set it to the ref of the pack.');
  END IF;
  RETURN found_ref;
END $$;
COMMENT ON FUNCTION workflow.require_pack(bigint, text) IS
  'Returns the ref of the pack with the given id. Raises WF616 if there is none, WF613 if pack_ref is given and differs.';
REVOKE ALL ON FUNCTION workflow.require_pack(bigint, text) FROM PUBLIC;

CREATE FUNCTION workflow.require_definition(id bigint) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  IF id IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.workflow_definition AS d WHERE d.id = id) THEN
    PERFORM workflow.raise_missing('definition', 'id', id::text);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_definition(bigint) IS
  'Raises WF616 if there is no definition with the given id; null passes.';
REVOKE ALL ON FUNCTION workflow.require_definition(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.require_action(id bigint, ref text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  found_ref text;
BEGIN
  IF id IS NOT NULL THEN
    SELECT a.ref INTO found_ref FROM workflow.action AS a WHERE a.id = id;
    IF NOT FOUND THEN
      PERFORM workflow.raise_missing('action', 'id', id::text);
    ELSIF ref <> found_ref THEN
      PERFORM workflow.raise_error('WF613', 'action_ref does not match the action',
        format('action_ref is %s, but the action is %s.', left(ref, 200), found_ref), 'Set action_ref to the ref of the action.');
    END IF;
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_action(bigint, text) IS
  'Raises WF616 if there is no action with the given id, WF613 if it has another ref; null passes.';
REVOKE ALL ON FUNCTION workflow.require_action(bigint, text) FROM PUBLIC;

CREATE FUNCTION workflow.require_execution(id bigint) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  home int := id >> 48;
BEGIN
  IF id IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.execution AS e WHERE e.part = home AND e.id = id) THEN
    PERFORM workflow.raise_missing('execution', 'id', id::text);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require_execution(bigint) IS
  'Raises WF616 if there is no execution with the given id; null passes.';
REVOKE ALL ON FUNCTION workflow.require_execution(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.fits(value jsonb, type regtype) RETURNS boolean LANGUAGE plpgsql STABLE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  kind text := jsonb_typeof(value);
BEGIN
  CASE type
    WHEN 'jsonb'::regtype THEN RETURN true;
    WHEN 'text'::regtype THEN RETURN kind = 'string';
    WHEN 'boolean'::regtype THEN RETURN kind = 'boolean';
    WHEN 'integer'::regtype, 'bigint'::regtype THEN
      RETURN kind = 'number' AND value::numeric = trunc(value::numeric) AND CASE type
        WHEN 'integer'::regtype THEN value::numeric BETWEEN -2147483648 AND 2147483647
        ELSE value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 END;
    WHEN 'text[]'::regtype THEN
      RETURN kind = 'array' AND NOT EXISTS (SELECT FROM jsonb_array_elements(value) AS e WHERE jsonb_typeof(e.value) <> 'string');
    WHEN 'workflow.execution_status'::regtype THEN
      RETURN kind = 'string' AND value #>> '{}' = ANY (enum_range(NULL::workflow.execution_status)::text[]);
    WHEN 'timestamptz'::regtype THEN
      BEGIN
        RETURN kind = 'string' AND isfinite((value #>> '{}')::timestamptz);
      EXCEPTION WHEN data_exception THEN
        RETURN false;
      END;
  END CASE;
END $$;
COMMENT ON FUNCTION workflow.fits(jsonb, regtype) IS
  'Whether a JSON value other than null can become a value of the given type without loss, for the column types used in this schema.';
REVOKE ALL ON FUNCTION workflow.fits(jsonb, regtype) FROM PUBLIC;

CREATE FUNCTION workflow.check_patch(patch jsonb, target regclass, columns text[]) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  entry record;
BEGIN
  PERFORM workflow.require('patch', patch);
  IF jsonb_typeof(patch) <> 'object' THEN
    PERFORM workflow.raise_error('WF613', 'patch must be a JSON object', format('It is of type %s.', jsonb_typeof(patch)),
      'Pass {"column": value, …}.');
  END IF;
  FOR entry IN
    SELECT p.key, p.value, a.atttypid::regtype AS type, a.attnotnull AS filled
    FROM jsonb_each(patch) AS p
      LEFT JOIN pg_attribute AS a ON a.attrelid = target AND a.attname = p.key AND a.attnum > 0 AND NOT a.attisdropped
  LOOP
    IF entry.type IS NULL THEN
      PERFORM workflow.raise_error('WF613', 'the patch has an unknown key', format('The key is %s.', to_json(left(entry.key, 200))),
        format('These columns can be changed: %s.', array_to_string(columns, ', ')));
    ELSIF entry.key <> ALL (columns) THEN
      PERFORM workflow.raise_error('WF613', format('%s cannot be changed', entry.key), NULL,
        format('These columns can be changed: %s.', array_to_string(columns, ', ')));
    ELSIF entry.value = 'null' THEN
      IF entry.filled THEN
        PERFORM workflow.raise_error('WF613', format('%s is null', entry.key), NULL, format('Set %s to a value, or leave it out of the patch.', entry.key));
      END IF;
    ELSIF NOT workflow.fits(entry.value, entry.type) THEN
      PERFORM workflow.raise_error('WF613', format('%s is not of type %s', entry.key, format_type(entry.type, NULL)),
        format('%s is %s.', entry.key, left(entry.value::text, 200)), 'Pass a value of that type.');
    END IF;
  END LOOP;
  RETURN patch <> '{}';
END $$;
COMMENT ON FUNCTION workflow.check_patch(jsonb, regclass, text[]) IS
  'Whether a patch of the given table is not empty. Raises WF613, naming the key, for one that is unknown, is not among the columns that can be changed, is null for a column that cannot be, or has a value of another type.';
REVOKE ALL ON FUNCTION workflow.check_patch(jsonb, regclass, text[]) FROM PUBLIC;
