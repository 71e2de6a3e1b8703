-- Starting executions.

CREATE FUNCTION workflow.start(reference text, parameters jsonb[], keys text[], now timestamptz, part int, priority int, delay float8)
RETURNS SETOF bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
AS 'MODULE_PATHNAME', 'workflow_start_wrapper';
COMMENT ON FUNCTION workflow.start(text, jsonb[], text[], timestamptz, int, int, float8) IS
  'Starts an execution of a workflow for each of the parameters, and gives their ids in order.';
REVOKE ALL ON FUNCTION workflow.start(text, jsonb[], text[], timestamptz, int, int, float8) FROM PUBLIC;

CREATE FUNCTION workflow.check_start(ref text, count int, priority int, run_at timestamptz, part int) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('ref', ref);
  PERFORM workflow.require('priority', priority);
  PERFORM workflow.require('part', part);
  IF count > 10000 THEN
    PERFORM workflow.raise_error('WF614', 'too many executions', format('there are %s', count), 'start at most 10000 at once');
  END IF;
  IF priority NOT BETWEEN -1000 AND 1000 THEN
    PERFORM workflow.raise_error('WF613', 'priority is out of range', format('priority is %s', priority), 'give -1000 to 1000');
  END IF;
  IF part NOT BETWEEN 0 AND 1023 THEN
    PERFORM workflow.raise_error('WF613', 'part is out of range', format('part is %s', part), 'give 0 to 1023');
  END IF;
  IF run_at = 'infinity' OR run_at = '-infinity' THEN
    PERFORM workflow.raise_error('WF613', 'run_at is no time', format('run_at is %s', run_at), 'give a time, or null for now');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_start(text, int, int, timestamptz, int) IS 'Raises WF613 or WF614 where the arguments of a start cannot be.';
REVOKE ALL ON FUNCTION workflow.check_start(text, int, int, timestamptz, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_start(ref text, parameters jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL,
  priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, part int DEFAULT 0)
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.check_start(ref, 1, priority, run_at, part);
  PERFORM workflow.require('parameters', parameters);
  RETURN (SELECT s.id FROM workflow.start(ref, ARRAY[parameters], ARRAY[idempotency_key], now, part, priority,
    greatest(coalesce(extract(epoch FROM run_at - now), 0), 0)) AS s(id));
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_start(text, jsonb, text, int, timestamptz, int) IS
  'Starts one execution of a workflow and gives its id. parameters: an object that the workflow''s parameters schema takes; its defaults apply. idempotency_key: the same key for the same workflow in the same part gives the same execution back. priority: -1000 to 1000, higher goes first. run_at: when its first tasks can be claimed; null: now. part: 0 to 1023, where its rows live. Errors: WF601 the parameters are invalid, all violations in the detail; WF611 the workflow is disabled; WF613 an argument out of range; WF616 no such workflow; WF618 it is driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start(text, jsonb, text, int, timestamptz, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_start_many(ref text, parameters jsonb[], idempotency_keys text[] DEFAULT NULL,
  priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, part int DEFAULT 0)
RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('parameters', parameters);
  PERFORM workflow.check_start(ref, cardinality(parameters), priority, run_at, part);
  IF cardinality(idempotency_keys) <> cardinality(parameters) THEN
    PERFORM workflow.raise_error('WF613', 'parameters and idempotency_keys differ in number',
      format('%s parameters, %s keys', cardinality(parameters), cardinality(idempotency_keys)), 'give each execution a key, or null for one without');
  END IF;
  RETURN QUERY SELECT s.id FROM workflow.start(ref, parameters, idempotency_keys, now, part, priority,
    greatest(coalesce(extract(epoch FROM run_at - now), 0), 0)) AS s(id);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_start_many(text, jsonb[], text[], int, timestamptz, int) IS
  'workflow_start for up to 10000 executions of one workflow, in a few statements: an id for each of the parameters, in order. One set of parameters that is invalid starts none. Errors as workflow_start, and WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start_many(text, jsonb[], text[], int, timestamptz, int) FROM PUBLIC;
