-- Attributes: small facts about an execution, such as its tenant, by which workflow_search finds it. They come from the start, from
-- the definition, and from the calling execution, and can be changed at any time, even after the end.

CREATE FUNCTION workflow.check_attributes(attributes jsonb) RETURNS void
LANGUAGE c IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_check_attributes_wrapper';
COMMENT ON FUNCTION workflow.check_attributes(jsonb) IS
  'Raises WF613 if attributes are not an object, WF614 if they are too large; null passes.';
REVOKE ALL ON FUNCTION workflow.check_attributes(jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_set_attributes(execution_id bigint, attributes jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  home int := execution_id >> 48;
  before jsonb;
  merged jsonb;
BEGIN
  PERFORM workflow.require('execution_id', execution_id), workflow.require('attributes', attributes);
  PERFORM workflow.check_attributes(attributes);
  PERFORM workflow.require_part(home);
  SELECT w.attributes INTO before FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = execution_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    PERFORM workflow.raise_error('WF616', format('there is no execution %s', execution_id), NULL,
      'Pass the id that workflow_start returned.');
  END IF;
  SELECT jsonb_object_agg(a.key, a.value) INTO merged
  FROM jsonb_each(coalesce(before, '{}') || workflow_set_attributes.attributes) AS a WHERE jsonb_typeof(a.value) <> 'null';
  IF merged IS DISTINCT FROM before THEN
    PERFORM workflow.check_attributes(merged);
    UPDATE workflow.workflow_execution AS w SET attributes = merged, updated = workflow.now()
    WHERE w.part = home AND w.id = execution_id;
  END IF;
  RETURN merged;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_set_attributes(bigint, jsonb) IS
  'Merges attributes into those of an execution, whether or not it has ended: a given value replaces the old one, and null removes the key. Returns all attributes, or null if none are left. Executions that it has already called keep their own; those that it calls later inherit the new ones. Errors: WF613 for null or a value that is not an object; WF614 if the result would exceed 8192 bytes; WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_set_attributes(bigint, jsonb) FROM PUBLIC;
