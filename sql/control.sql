-- What people do to an execution that runs or has failed. Each call locks its workflow execution, asks the conductor, and
-- writes what follows; doing the same again gives the same answer.

CREATE FUNCTION workflow.control(execution_id bigint, what text, reason text, author text, now timestamptz) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_control_wrapper';
COMMENT ON FUNCTION workflow.control(bigint, text, text, text, timestamptz) IS
  'Pauses, resumes or cancels an execution and those that it calls, and logs that; returns its status then. What is too much for one call is left to workflow_tick.';
REVOKE ALL ON FUNCTION workflow.control(bigint, text, text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.propagate(max_rows int, now timestamptz, parts int[]) RETURNS int
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_propagate_wrapper';
COMMENT ON FUNCTION workflow.propagate(int, timestamptz, int[]) IS
  'Lets up to max_rows executions hear that those that call them were paused, resumed or stopped, where one call could not tell all; returns how many have heard.';
REVOKE ALL ON FUNCTION workflow.propagate(int, timestamptz, int[]) FROM PUBLIC;

CREATE FUNCTION workflow.rerun(execution_id bigint, tasks text[], routes int[], reset_items boolean, reason text, author text,
  detail text, now timestamptz) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_rerun_tasks_wrapper';
COMMENT ON FUNCTION workflow.rerun(bigint, text[], int[], boolean, text, text, text, timestamptz) IS
  'Runs tasks of an ended execution again, each by name and route; none: all whose failure nothing handled. What they had called runs on, and so does what called it. Logs that, with reason, author and detail (JSON). Gives the status then.';
REVOKE ALL ON FUNCTION workflow.rerun(bigint, text[], int[], boolean, text, text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_pause(execution_id bigint, reason text DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('execution_id', execution_id);
  RETURN workflow.control(execution_id, 'pause', reason, session_user::text, workflow.now());
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_pause(bigint, text) IS
  'No task of the execution can be claimed until it is resumed, nor of those that it calls; what runs may finish. An execution that calls it and does nothing else is paused too. Of a large family the call reaches the nearest 1000 at once, and workflow_tick the others, 1000 at a time: until then those go on as before. Pausing what is paused changes at most the reason. Gives the status: running. Errors: WF611 where it is not running, WF613 null, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_pause(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume(execution_id bigint, reason text DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('execution_id', execution_id);
  RETURN workflow.control(execution_id, 'resume', reason, session_user::text, workflow.now());
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_resume(bigint, text) IS
  'Ends a pause, also that of the executions that it calls or is called by: tasks can be claimed again; with nothing left to do the execution ends. Of a large family the call reaches the nearest 1000 at once, and workflow_tick the others, 1000 at a time: until then those go on as before. Gives the status. Errors: WF611 where it is not paused, WF613 null, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_cancel(execution_id bigint, reason text DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  answer text;
BEGIN
  PERFORM workflow.require('execution_id', execution_id);
  answer := workflow.control(execution_id, 'cancel', reason, session_user::text, workflow.now());
  UPDATE workflow.workflow_execution w SET error_message = coalesce(w.error_message, format('cancelled: %s', reason))
  WHERE w.part = (execution_id >> 48)::int AND w.execution = execution_id AND reason IS NOT NULL;
  RETURN answer;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_cancel(bigint, text) IS
  'Nothing of the execution starts any more, nor of those that it calls; when it has ended, an execution that calls it is cancelled too. It is canceling while tasks run, and then cancelled, whatever they answer; with cancellation_policy cancel_running their leases are void at once. Of a large family the call reaches the nearest 1000 at once, and workflow_tick the others, 1000 at a time: until then those go on as before. Cancelling what is cancelled changes nothing. Gives the status. Errors: WF611 where it has ended otherwise, WF613 null, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_cancel(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_rerun(execution_id bigint, tasks text[] DEFAULT NULL, reset_items boolean DEFAULT false,
  routes int[] DEFAULT NULL, reason text DEFAULT NULL)
RETURNS workflow.execution_status
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  named text[] := coalesce(tasks, '{}');
BEGIN
  PERFORM workflow.require('execution_id', execution_id);
  PERFORM workflow.require('reset_items', reset_items);
  PERFORM workflow.require_words('tasks', named);
  IF array_ndims(routes) > 1 OR cardinality(routes) <> cardinality(named) OR EXISTS (SELECT FROM unnest(routes) AS r(route) WHERE r.route IS NULL) THEN
    PERFORM workflow.raise_error('WF613', 'tasks and routes do not match', NULL, 'give names of tasks, and with them no routes or one for each');
  END IF;
  RETURN workflow.rerun(execution_id, named, coalesce(routes, array_fill(0, ARRAY[cardinality(named)])), reset_items,
    reason, session_user::text,
    jsonb_strip_nulls(jsonb_build_object('tasks', tasks, 'routes', routes, 'reset_items', nullif(reset_items, false)))::text,
    workflow.now());
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_rerun(bigint, text[], boolean, int[], text) IS
  'Runs an execution that ended without success on from where it stopped: the tasks named (the newest run of each; routes says which way led to it, default 0), or all whose failure nothing handled and all that would have started. Successful work is kept: of a task with items only those run again that did not succeed, and what a task had called runs on from where it stopped itself; with reset_items all items run again, and what was called is called anew. Where another execution calls it, the task there runs again with it, and that execution goes on, too. Of what had been called, 1000 executions run on at once, and the others when workflow_tick comes to them. Gives the status: running. Errors: WF612 where it has not ended or has completed, where that is so of an execution that calls it, or where the task that had called it has gone on without it, WF613 null, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_rerun(bigint, text[], boolean, int[], text) FROM PUBLIC;
