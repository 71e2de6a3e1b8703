-- The event log of an execution: what people did to it, and what went wrong. The engine never bases a decision on it.
--
-- Decisions of the conductor are logged in Rust (extension/src/store/events.rs), with one statement per batch and none if
-- everything goes well. This file covers what SQL decides: control, claims, and expired leases. Rejected lease tokens are
-- logged in Rust, too (extension/src/engine/refused_leases.rs).

CREATE FUNCTION workflow.author_of(worker text, role text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN worker || ' (role ' || role || ')';
COMMENT ON FUNCTION workflow.author_of(text, text) IS
  'Returns the author of an event caused by a worker: the name that the worker chose, followed by its database role, which it cannot choose.';
REVOKE ALL ON FUNCTION workflow.author_of(text, text) FROM PUBLIC;

CREATE FUNCTION workflow.name_caller(role text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(workflow.author_of(left(nullif(btrim(regexp_replace(current_setting('pg_workflow.actor', true), '[[:cntrl:]]', ' ', 'g')), ''), 100), role), role);
COMMENT ON FUNCTION workflow.name_caller(text) IS
  'Returns the author of an event caused by a call: the person named by pg_workflow.actor, if set, followed by the calling role, which cannot be forged.';
REVOKE ALL ON FUNCTION workflow.name_caller(text) FROM PUBLIC;

CREATE FUNCTION workflow.log_claim(tasks bigint[], worker text, role text, now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO workflow.event (part, id, execution, task, task_name, task_index, kind, author, detail, created, updated)
  SELECT t.part, workflow.make_id(t.part, nextval('workflow.event_id_seq')), t.workflow_execution, t.id, t.task_name, t.task_index,
    'started', workflow.author_of(worker, role), jsonb_strip_nulls(jsonb_build_object('attempt', t.attempt, 'label', t.label)), now, now
  FROM unnest(tasks) AS o(id)
  JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id
  ORDER BY t.id;
END $$;
COMMENT ON FUNCTION workflow.log_claim(bigint[], text, text, timestamptz) IS
  'Logs the start of the tasks that a worker has claimed under the given role.';
REVOKE ALL ON FUNCTION workflow.log_claim(bigint[], text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_events(execution_id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.event
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
BEGIN
  RETURN QUERY SELECT e.* FROM workflow.event AS e
    WHERE e.part = run.part AND e.execution = run.id AND e.id > coalesce(after, 0)
    ORDER BY e.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_events(bigint, int, bigint) IS
  'Returns the history of an execution, oldest first: up to max_rows (1 to 10000) events after the one with id after. What people did and what went wrong is always logged; with pg_workflow.log_transitions, so is every step. Errors: WF613 for null or max_rows out of range, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_events(bigint, int, bigint) FROM PUBLIC;
