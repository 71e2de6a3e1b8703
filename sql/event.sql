-- The log of an execution: what people did to it, and what went wrong. Nothing decides by it.
--
-- What the conductor decides is logged in Rust (extension/src/write/events.rs), in one statement a batch and none where
-- all goes well. Here is what SQL decides: control, claims, and leases that end. Lease tokens that were refused are logged
-- in Rust, too (extension/src/refused.rs).

CREATE FUNCTION workflow.author_of(worker text, role text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN worker || ' (role ' || role || ')';
COMMENT ON FUNCTION workflow.author_of(text, text) IS
  'The author of an event that a worker caused: the name it chose, then the database role it called as, which it cannot choose.';
REVOKE ALL ON FUNCTION workflow.author_of(text, text) FROM PUBLIC;

CREATE FUNCTION workflow.tell_refused(tasks bigint[]) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'workflow_tell_refused_wrapper';
COMMENT ON FUNCTION workflow.tell_refused(bigint[]) IS
  'Tells that the caller gave lease tokens that are not those of these tasks: in the server''s log, and as one event on the first one''s workflow execution. Nothing where there are none.';
REVOKE ALL ON FUNCTION workflow.tell_refused(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.log_control(execution_id bigint, kind text, reason text, author text, detail jsonb, now timestamptz, reached bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  home int := execution_id >> 48;
  what text := log_control.kind;
BEGIN
  -- The caller holds all of them locked, and what was logged before is all there is: where it says the same already, nothing
  -- has changed.
  INSERT INTO workflow.event (part, id, workflow_execution, kind, message, author, detail, created, updated)
  SELECT w.part, workflow.make_id(w.part, nextval('workflow.event_id_seq')), w.id, what, left(reason, 1000), log_control.author,
    nullif(log_control.detail, '{}'), now, now
  FROM (
    SELECT w.id FROM workflow.workflow_execution w WHERE w.part = home AND w.execution = execution_id
    UNION
    SELECT r.id FROM unnest(reached) AS r(id)) AS family
  JOIN workflow.workflow_execution w ON w.part = home AND w.id = family.id
  LEFT JOIN LATERAL (
    SELECT e.kind, e.message FROM workflow.event e
    WHERE e.part = w.part AND e.workflow_execution = w.id AND e.kind IN ('pause', 'resume', 'cancel', 'rerun')
    ORDER BY e.id DESC LIMIT 1) AS last ON true
  WHERE CASE what
    WHEN 'pause' THEN w.paused AND (last.kind IS DISTINCT FROM 'pause'
      OR w.execution = execution_id AND reason IS NOT NULL AND left(reason, 1000) IS DISTINCT FROM last.message)
    WHEN 'resume' THEN w.execution = execution_id OR NOT w.paused AND last.kind = 'pause'
    ELSE true END
  ORDER BY w.id;
END $$;
COMMENT ON FUNCTION workflow.log_control(bigint, text, text, text, jsonb, timestamptz, bigint[]) IS
  'Logs what somebody did to an execution that this transaction holds locked, and, where that is a pause or a resume, to the workflow executions that it has reached from there; a pause that changed nothing is not logged again.';
REVOKE ALL ON FUNCTION workflow.log_control(bigint, text, text, text, jsonb, timestamptz, bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.log_claim(tasks bigint[], worker text, role text, now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO workflow.event (part, id, workflow_execution, task, task_name, task_index, kind, author, detail, created, updated)
  SELECT t.part, workflow.make_id(t.part, nextval('workflow.event_id_seq')), t.workflow_execution, t.id, t.task_name, t.task_index,
    'started', workflow.author_of(worker, role), jsonb_build_object('attempt', t.attempt), now, now
  FROM unnest(tasks) AS o(id)
  JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id
  ORDER BY t.id;
END $$;
COMMENT ON FUNCTION workflow.log_claim(bigint[], text, text, timestamptz) IS 'Logs that tasks have started that a worker, calling as this role, has claimed.';
REVOKE ALL ON FUNCTION workflow.log_claim(bigint[], text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.log_expired(lost workflow.outcome[], locked bigint[], now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO workflow.event (part, id, workflow_execution, task, task_name, task_index, kind, author, detail, created, updated)
  SELECT t.part, workflow.make_id(t.part, nextval('workflow.event_id_seq')), t.workflow_execution, t.id, t.task_name, t.task_index,
    'lease_expired', workflow.author_of(l.worker, l.role), jsonb_build_object('attempt', t.attempt), now, now
  FROM unnest(lost) AS o
  JOIN workflow.workflow_task_execution t ON t.part = (o.task >> 48)::int AND t.id = o.task
  LEFT JOIN workflow.lease l ON l.part = t.part AND l.id = t.lease
  WHERE t.status = 'running' AND t.lease = o.lease_token AND t.workflow_execution = ANY (locked)
  ORDER BY t.id;
END $$;
COMMENT ON FUNCTION workflow.log_expired(workflow.outcome[], bigint[], timestamptz) IS
  'Logs that the leases of running tasks have ended, as far as their workflow executions are locked.';
REVOKE ALL ON FUNCTION workflow.log_expired(workflow.outcome[], bigint[], timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_events(execution_id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS SETOF workflow.event
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
BEGIN
  RETURN QUERY SELECT e.* FROM workflow.event AS e
    WHERE e.part = run.part AND e.workflow_execution = run.id AND e.id > coalesce(after, 0)
    ORDER BY e.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_events(bigint, int, bigint) IS
  'What happened to an execution, oldest first: max_rows events (1 to 10000) behind the one whose id is after. What people did and what went wrong is always there; every step where pg_workflow.log_transitions is on. Errors: WF613 for null or max_rows out of range, WF616 where there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_events(bigint, int, bigint) FROM PUBLIC;
