-- Hooks: when an execution ends, start another one in the same transaction.
--
-- Code that ends an execution calls workflow.run_hooks for it, if there are any hooks: every session caches whether there are
-- (cache/hooks.rs). It is called once per end, so the end of a rerun counts again. Each start has a block of its own: if it fails,
-- that is an event of the execution that ended, and nothing else fails. A chain of hooks is bounded by
-- workflow_execution.hook_depth.

CREATE SEQUENCE workflow.hook_id_seq;
CREATE TABLE workflow.hook (
  id bigint PRIMARY KEY DEFAULT nextval('workflow.hook_id_seq'),
  name text NOT NULL CONSTRAINT hook_name_key UNIQUE,
  statuses workflow.execution_status[],
  workflow_pattern text,
  attributes jsonb,
  start_workflow text NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workflow.hook IS 'A workflow that is started when executions end.';
COMMENT ON COLUMN workflow.hook.id IS 'Primary key.';
COMMENT ON COLUMN workflow.hook.name IS 'Unique name.';
COMMENT ON COLUMN workflow.hook.statuses IS 'Final statuses that it applies to; NULL: all.';
COMMENT ON COLUMN workflow.hook.workflow_pattern IS
  'Workflows whose executions it applies to: a ref in which * matches any characters; NULL: all.';
COMMENT ON COLUMN workflow.hook.attributes IS 'Attributes that an execution must have; NULL: any.';
COMMENT ON COLUMN workflow.hook.start_workflow IS 'The workflow that it starts.';
COMMENT ON COLUMN workflow.hook.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.hook.updated IS 'When the row last changed.';
SELECT pg_catalog.pg_extension_config_dump('workflow.hook', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.hook_id_seq', '');

CREATE FUNCTION workflow.forget_hooks() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_forget_hooks_wrapper';
COMMENT ON FUNCTION workflow.forget_hooks() IS
  'Trigger of workflow.hook: makes every session discard its cached knowledge of hooks at commit.';
REVOKE ALL ON FUNCTION workflow.forget_hooks() FROM PUBLIC;
CREATE TRIGGER forget_hooks AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow.hook
FOR EACH STATEMENT EXECUTE FUNCTION workflow.forget_hooks();
ALTER TABLE workflow.hook ENABLE ALWAYS TRIGGER forget_hooks;

CREATE FUNCTION workflow.check_hook(name text, statuses workflow.execution_status[], workflow_pattern text, attributes jsonb,
  start_workflow text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  version bigint;
BEGIN
  PERFORM workflow.require('name', name);
  PERFORM workflow.require('start_workflow', start_workflow);
  PERFORM workflow.check_key('workflow_pattern', workflow_pattern);
  IF name = '' OR length(name) > 200 THEN
    PERFORM workflow.raise_error('WF613', 'name is empty or too long', format('It has %s characters.', length(name)), 'Use 1 to 200 characters.');
  ELSIF array_ndims(statuses) > 1 THEN
    PERFORM workflow.raise_error('WF613', 'statuses must be a one-dimensional array', format('They have %s dimensions.', array_ndims(statuses)), 'Pass a one-dimensional array.');
  ELSIF statuses = '{}' OR EXISTS (SELECT FROM unnest(statuses) AS s(status) WHERE workflow.is_end(s.status) IS NOT TRUE) THEN
    PERFORM workflow.raise_error('WF613', 'a status is not final', format('statuses are %s.', left(statuses::text, 200)),
      'Use completed, failed, cancelled, timeout or abandoned, or null for all.');
  ELSIF workflow_pattern COLLATE "C" !~ '^[a-z0-9_.*-]+$' THEN
    PERFORM workflow.raise_error('WF613', 'workflow_pattern is malformed', format('workflow_pattern is %s.', quote_literal(left(workflow_pattern, 200))),
      'Use a ref in which * stands for any characters, such as "shop.*".');
  ELSIF jsonb_typeof(attributes) <> 'object' THEN
    PERFORM workflow.raise_error('WF613', 'attributes must be a JSON object', format('attributes are %s.', left(attributes::text, 200)),
      'Pass an object, or null to match any attributes.');
  END IF;
  SELECT d.current_version INTO version FROM workflow.workflow_definition d WHERE d.ref = start_workflow;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('definition', 'ref', quote_literal(left(start_workflow, 200)));
  ELSIF version IS NULL THEN
    PERFORM workflow.raise_error('WF618', format('workflow %s is driven from outside', start_workflow), NULL,
      'Define it with workflow_define to let the engine run it.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_hook(text, workflow.execution_status[], text, jsonb, text) IS
  'Raises WF613, WF616 or WF618 if the properties of a hook are invalid.';
REVOKE ALL ON FUNCTION workflow.check_hook(text, workflow.execution_status[], text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_on_end(name text, statuses workflow.execution_status[] DEFAULT NULL, workflow_pattern text DEFAULT NULL,
  attributes jsonb DEFAULT NULL, start_workflow text DEFAULT NULL) RETURNS SETOF workflow.hook
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.check_hook(workflow_on_end.name, workflow_on_end.statuses, workflow_on_end.workflow_pattern, workflow_on_end.attributes,
    workflow_on_end.start_workflow);
  INSERT INTO workflow.hook AS h (name, statuses, workflow_pattern, attributes, start_workflow, created, updated)
  VALUES (workflow_on_end.name, workflow_on_end.statuses, workflow_on_end.workflow_pattern, workflow_on_end.attributes,
    workflow_on_end.start_workflow, now, now)
  ON CONFLICT ON CONSTRAINT hook_name_key DO UPDATE
  SET statuses = excluded.statuses, workflow_pattern = excluded.workflow_pattern, attributes = excluded.attributes,
      start_workflow = excluded.start_workflow, updated = excluded.updated
  WHERE (h.statuses, h.workflow_pattern, h.attributes, h.start_workflow)
    IS DISTINCT FROM (excluded.statuses, excluded.workflow_pattern, excluded.attributes, excluded.start_workflow);
  RETURN QUERY SELECT h.* FROM workflow.hook h WHERE h.name = workflow_on_end.name;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_on_end(text, workflow.execution_status[], text, jsonb, text) IS
  'Creates a hook: starts start_workflow, in the same transaction, each time an execution that was not called by another one ends, including each time a rerun ends. statuses: the final statuses it applies to (completed, failed, cancelled, timeout, abandoned); null means all. workflow_pattern: the workflows it applies to, as a ref in which * matches any characters; null means all. attributes: attributes the execution must have; null means any. The parameters of the new execution are hook, execution (its id, as text), workflow, status, parameters, output, error_message, errors and attributes of the one that ended; it is in the same part. A start that fails is recorded as an event (hook_failed) of the execution that ended and has no other effect. A start that is skipped because the workflow has reached its maximum concurrency is recorded as an event (hook) without an execution. A start fails, too, at the end of a chain of more than pg_workflow.max_workflow_depth executions started by hooks. If the name exists, the hook is replaced. Returns its row. Errors: WF613 for null, a status that is not final, a pattern that no ref can match, or attributes that are not an object; WF616 if there is no workflow start_workflow; WF618 if it is driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_on_end(text, workflow.execution_status[], text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_remove_hook(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('name', name);
  DELETE FROM workflow.hook h WHERE h.name = workflow_remove_hook.name;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_remove_hook(text) IS
  'Deletes a hook and returns whether it existed; executions it has started continue. Error: WF613 for null.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_remove_hook(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_hook(name text) RETURNS SETOF workflow.hook
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('name', name);
  RETURN QUERY SELECT h.* FROM workflow.hook AS h WHERE h.name = name;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_hook(text) IS
  'Returns the hook with the given name, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_hook(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_hooks(max_rows int DEFAULT 100, after bigint DEFAULT NULL) RETURNS SETOF workflow.hook
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT h.* FROM workflow.hook AS h
    WHERE h.id > coalesce(after, 0) ORDER BY h.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_hooks(int, bigint) IS
  'Returns all hooks, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_hooks(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.start_by_hook(reference text, parameters jsonb, part int, hook_depth int, traceparent text) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_start_by_hook_wrapper';
COMMENT ON FUNCTION workflow.start_by_hook(text, jsonb, int, int, text) IS
  'Starts an execution on behalf of a hook, in the trace of the one that ended, and returns its id; if it fails immediately, it is stored as failed. Raises WF614 if it is at the end of a chain of more than pg_workflow.max_workflow_depth executions started by hooks.';
REVOKE ALL ON FUNCTION workflow.start_by_hook(text, jsonb, int, int, text) FROM PUBLIC;

CREATE FUNCTION workflow.run_hooks(executions bigint[], now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  h record;
  started bigint;
  failed boolean;
  trouble text;
  detail text;
BEGIN
  FOR h IN
    SELECT e.part, e.id AS execution, k.name, k.start_workflow, coalesce(w.hook_depth, 0) + 1 AS depth, w.traceparent,
      jsonb_build_object('hook', k.name, 'execution', e.id::text, 'workflow', e.action_ref, 'status', e.status,
        'parameters', e.config, 'output', e.result, 'error_message', w.error_message, 'errors', w.errors,
        'attributes', w.attributes) AS parameters
    FROM unnest(executions) AS o(id)
    CROSS JOIN LATERAL (SELECT x.* FROM workflow.execution x WHERE x.part = (o.id >> 48)::int AND x.id = o.id OFFSET 0) AS e
    JOIN workflow.workflow_execution w ON w.part = e.part AND w.id = e.id
    JOIN workflow.hook k ON (k.statuses IS NULL OR e.status = ANY (k.statuses))
      AND (k.workflow_pattern IS NULL OR e.action_ref LIKE replace(replace(k.workflow_pattern, '_', '\_'), '*', '%'))
      AND (k.attributes IS NULL OR w.attributes @> k.attributes)
    WHERE e.parent IS NULL
    ORDER BY e.id, k.id
  LOOP
    started := NULL;
    trouble := NULL;
    failed := false;
    BEGIN
      started := workflow.start_by_hook(h.start_workflow, h.parameters, h.part, h.depth, h.traceparent);
      IF started IS NULL THEN
        trouble := format('skipped: workflow %s has reached its maximum number of running executions', h.start_workflow);
      END IF;
    EXCEPTION WHEN OTHERS THEN
      -- The caller repeats the whole transaction.
      IF SQLSTATE LIKE '40%' THEN
        RAISE;
      END IF;
      GET STACKED DIAGNOSTICS trouble = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
      trouble := left(concat_ws(': ', trouble, nullif(detail, '')), 1000);
      failed := true;
    END;
    INSERT INTO workflow.event (part, id, execution, kind, message, detail, created, updated)
    VALUES (h.part, workflow.make_id(h.part, nextval('workflow.event_id_seq')), h.execution,
      CASE WHEN failed THEN 'hook_failed' ELSE 'hook' END, trouble,
      jsonb_strip_nulls(jsonb_build_object('hook', h.name, 'workflow', h.start_workflow, 'execution', started::text)), now, now);
  END LOOP;
END $$;
COMMENT ON FUNCTION workflow.run_hooks(bigint[], timestamptz) IS
  'Starts the workflows whose hooks apply to the given executions, which have just ended, and logs the starts.';
REVOKE ALL ON FUNCTION workflow.run_hooks(bigint[], timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_start_from_row() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  new_row jsonb := CASE WHEN TG_OP IN ('INSERT', 'UPDATE') AND TG_LEVEL = 'ROW' THEN to_jsonb(NEW) END;
  old_row jsonb := CASE WHEN TG_OP IN ('UPDATE', 'DELETE') AND TG_LEVEL = 'ROW' THEN to_jsonb(OLD) END;
BEGIN
  IF TG_LEVEL <> 'ROW' OR TG_WHEN <> 'AFTER' OR TG_NARGS NOT IN (1, 2) THEN
    PERFORM workflow.raise_error('WF613', format('trigger %s cannot start a workflow', TG_NAME),
      format('It is a %s trigger FOR EACH %s with %s arguments.', TG_WHEN, TG_LEVEL, TG_NARGS),
      'Create it AFTER INSERT, UPDATE or DELETE, FOR EACH ROW; its arguments are the ref of the workflow and, optionally, the column with the idempotency key.');
  ELSIF TG_NARGS = 2 AND NOT coalesce(new_row, old_row) ? TG_ARGV[1] THEN
    PERFORM workflow.raise_error('WF613', format('trigger %s names a column that table %I.%I does not have', TG_NAME, TG_TABLE_SCHEMA, TG_TABLE_NAME),
      format('The second argument is %s.', quote_literal(left(TG_ARGV[1], 200))), 'Pass the name of the column with the idempotency key.');
  END IF;
  PERFORM pg_catalog.workflow_start(TG_ARGV[0],
    jsonb_build_object('table', format('%I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME), 'operation', lower(TG_OP), 'row', new_row, 'old', old_row),
    CASE WHEN TG_NARGS = 2 THEN coalesce(new_row, old_row) ->> TG_ARGV[1] END);
  RETURN NULL;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_start_from_row() IS
  'Trigger function: starts a workflow for each row that is inserted, updated or deleted, in the same transaction. Arguments of the trigger: the ref of the workflow and, optionally, a column whose value is the idempotency key. The parameters of the execution are table, operation (insert, update or delete), row (null after a delete) and old (null after an insert). For AFTER triggers FOR EACH ROW. The role that changes the table needs the privileges of an operator. Errors: as workflow_start; also WF613 for a trigger of another kind, or a column that the table does not have.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start_from_row() FROM PUBLIC;
