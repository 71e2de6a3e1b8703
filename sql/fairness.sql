-- Fairness: executions of a workflow share the queue by a key, such as a tenant (`fair_by` in the definition).
--
-- A task's place in the queue is a time, and the queue is processed in the order of places. A new task of a key comes a
-- minute, divided by the key's weight, after the last one of that key in the queue, and never before now
-- (queue/fairness.rs). So a key with a million queued tasks cannot delay the first task of any other key. A place only
-- determines the order: no task waits for it.

CREATE FUNCTION workflow.fair_hash(workflow_ref text, key text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN hashtextextended(workflow_ref || ' ' || key, 0);
COMMENT ON FUNCTION workflow.fair_hash(text, text) IS 'Returns the hash that represents a workflow and a key in the rows of tasks.';
REVOKE ALL ON FUNCTION workflow.fair_hash(text, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_set_weight(workflow_ref text, key text, weight float8 DEFAULT 1) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('workflow_ref', workflow_ref);
  PERFORM workflow.require('key', key);
  PERFORM workflow.require('weight', weight);
  PERFORM workflow.check_key('key', key);
  IF NOT weight BETWEEN 0.001 AND 1000 OR weight = 'NaN' THEN
    PERFORM workflow.raise_error('WF613', 'weight is out of range', format('weight is %s.', weight), 'Use 0.001 to 1000.');
  ELSIF NOT EXISTS (SELECT FROM workflow.workflow_definition d WHERE d.ref = workflow_set_weight.workflow_ref) THEN
    PERFORM workflow.raise_missing('definition', 'ref', workflow_ref);
  END IF;
  INSERT INTO workflow.fair_weight AS w (workflow_ref, key, weight, created, updated)
  VALUES (workflow_ref, key, weight, moment, moment)
  ON CONFLICT ON CONSTRAINT fair_weight_pkey DO UPDATE SET weight = excluded.weight, updated = excluded.updated;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_set_weight(text, text, float8) IS
  'Sets the weight (0.001 to 1000) of a key in a workflow whose definition has fair_by: a key with weight 2 gets twice the share of the queue that a key with weight 1 gets. Keys without a weight have 1. Tasks that are already queued keep their places. Errors: WF613 for null or a weight out of range; WF616 if there is no such workflow.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_set_weight(text, text, float8) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_weights(workflow_ref text, max_rows int DEFAULT 100, after text DEFAULT NULL)
RETURNS SETOF workflow.fair_weight
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('workflow_ref', workflow_ref);
  RETURN QUERY SELECT w.* FROM workflow.fair_weight AS w
    WHERE w.workflow_ref = workflow_ref AND (after IS NULL OR w.key > after) ORDER BY w.key LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_weights(text, int, text) IS
  'Returns the weights set for the keys of a workflow, in order of key: up to max_rows (1 to 10000) after the key given as after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_weights(text, int, text) FROM PUBLIC;
