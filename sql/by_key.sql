-- Finds and controls executions by the idempotency key that they were started with, instead of by id. A key is unique within a
-- workflow and part.

CREATE FUNCTION pg_catalog.workflow_find_by_key(ref text, idempotency_key text, part int DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  home int := coalesce(part, workflow.default_part(idempotency_key));
BEGIN
  PERFORM workflow.require('ref', ref), workflow.require('idempotency_key', idempotency_key), workflow.require_part(home);
  RETURN (SELECT e.id FROM workflow.execution AS e
          WHERE e.part = home AND e.action_ref = workflow_find_by_key.ref
            AND e.idempotency_key = workflow_find_by_key.idempotency_key);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_by_key(text, text, int) IS
  'Returns the execution of a workflow that was started with an idempotency key in a part, or null if there is none. A null part means the part that a start with this key and no part uses. Errors: WF613 for null, WF622 if the part belongs to another server.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_by_key(text, text, int) FROM PUBLIC;

CREATE FUNCTION workflow.require_key(ref text, idempotency_key text, part int) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found bigint := pg_catalog.workflow_find_by_key(ref, idempotency_key, part);
BEGIN
  IF found IS NULL THEN
    PERFORM workflow.raise_error('WF616', format('there is no execution of %s with this idempotency key', left(ref, 200)),
      format('The key is %s, the part is %s.', left(idempotency_key, 200), coalesce(part, workflow.default_part(idempotency_key))), 'Check the workflow, the key and the part with which it was started.');
  END IF;
  RETURN found;
END $$;
COMMENT ON FUNCTION workflow.require_key(text, text, int) IS
  'Returns the execution of a workflow that was started with an idempotency key in a part. Raises WF613 for null, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION workflow.require_key(text, text, int) FROM PUBLIC;

-- idempotency_key is both an argument and a column.
CREATE FUNCTION pg_catalog.workflow_status_by_key(ref text, INOUT idempotency_key text, part int DEFAULT NULL, OUT execution bigint,
  OUT workflow_ref text, OUT status workflow.execution_status, OUT ended boolean, OUT paused boolean, OUT pause_reason text,
  OUT current_tasks text[], OUT completed_tasks text[], OUT failed_tasks text[], OUT skipped_tasks text[], OUT closing_tasks text[],
  OUT undo text, OUT parameters jsonb, OUT variables jsonb, OUT output jsonb, OUT error_message text, OUT errors jsonb,
  OUT created timestamptz, OUT updated timestamptz, OUT attributes jsonb, OUT traceparent text)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY
  SELECT s.idempotency_key, s.execution, s.workflow_ref, s.status, s.ended, s.paused, s.pause_reason, s.current_tasks,
    s.completed_tasks, s.failed_tasks, s.skipped_tasks, s.closing_tasks, s.undo, s.parameters, s.variables, s.output,
    s.error_message, s.errors, s.created, s.updated, s.attributes, s.traceparent
  FROM pg_catalog.workflow_status(workflow.require_key(ref, workflow_status_by_key.idempotency_key, part)) AS s;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_status_by_key(text, text, int) IS
  'Returns one row with the state, as workflow_status does, of the execution of a workflow that was started with an idempotency key in a part. Errors: WF613 for a null ref, idempotency_key or part; WF616 if no execution has that key.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_status_by_key(text, text, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_pause_by_key(ref text, idempotency_key text, reason text DEFAULT NULL, part int DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN pg_catalog.workflow_pause(workflow.require_key(ref, idempotency_key, part), reason);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_pause_by_key(text, text, text, int) IS
  'Pauses, like workflow_pause, the execution of a workflow that was started with an idempotency key in a part. Errors: as workflow_pause; WF613 also for a null ref, idempotency_key or part; WF616 if no execution has that key.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_pause_by_key(text, text, text, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume_by_key(ref text, idempotency_key text, reason text DEFAULT NULL, part int DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN pg_catalog.workflow_resume(workflow.require_key(ref, idempotency_key, part), reason);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_resume_by_key(text, text, text, int) IS
  'Resumes, like workflow_resume, the execution of a workflow that was started with an idempotency key in a part. Errors: as workflow_resume; WF613 also for a null ref, idempotency_key or part; WF616 if no execution has that key.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume_by_key(text, text, text, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_cancel_by_key(ref text, idempotency_key text, reason text DEFAULT NULL, force boolean DEFAULT false, part int DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN pg_catalog.workflow_cancel(workflow.require_key(ref, idempotency_key, part), reason, force);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_cancel_by_key(text, text, text, boolean, int) IS
  'Cancels, like workflow_cancel, the execution of a workflow that was started with an idempotency key in a part. Errors: as workflow_cancel; WF613 also for a null ref, idempotency_key or part; WF616 if no execution has that key.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_cancel_by_key(text, text, text, boolean, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_rerun_by_key(ref text, idempotency_key text, tasks text[] DEFAULT NULL, reset_items boolean DEFAULT false, routes int[] DEFAULT NULL, reason text DEFAULT NULL, part int DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN pg_catalog.workflow_rerun(workflow.require_key(ref, idempotency_key, part), tasks, reset_items, routes, reason);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_rerun_by_key(text, text, text[], boolean, int[], text, int) IS
  'Reruns, like workflow_rerun, the execution of a workflow that was started with an idempotency key in a part. Errors: as workflow_rerun; WF613 also for a null ref, idempotency_key or part; WF616 if no execution has that key.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_rerun_by_key(text, text, text[], boolean, int[], text, int) FROM PUBLIC;
