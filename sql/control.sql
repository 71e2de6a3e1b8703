-- Control of executions that are running or have failed. Each call locks the workflow execution, asks the conductor, and writes
-- the consequences; repeating a call returns the same answer.

CREATE FUNCTION pg_catalog.workflow_pause(execution_id bigint, reason text DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_pause_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_pause(bigint, text) IS
  'Pauses an execution and all that it calls: none of their tasks can be claimed until they are resumed; running tasks may finish. An execution that calls this one and has nothing else to do is paused, too. In a large family the call reaches the nearest 1000 executions immediately, and workflow_tick the others, 1000 at a time; until then, those continue as before. Pausing a paused execution changes at most the reason. What closes an execution that has failed or is being cancelled waits, too. Returns the status. Errors: WF611 if it has ended, WF613 null or a reason that is too long, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_pause(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume(execution_id bigint, reason text DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_resume_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_resume(bigint, text) IS
  'Ends a pause, including that of the executions that it calls or is called by: tasks can be claimed again; if nothing is left to do, the execution ends. In a large family the call reaches the nearest 1000 executions immediately, and workflow_tick the others, 1000 at a time; until then, those continue as before. Resuming one that is not paused changes nothing. Returns the status. Errors: WF611 if it has ended, WF613 null or a reason that is too long, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_cancel(execution_id bigint, reason text DEFAULT NULL, force boolean DEFAULT false) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_cancel_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_cancel(bigint, text, boolean) IS
  'Cancels an execution and all that it calls: no further task starts on the ways forward; once it has ended, the cancel applies to an execution that calls it, too. Its status is canceling while tasks are running and while it closes, and then cancelled, whatever they report; with cancellation_policy cancel_running, the leases of running tasks are void immediately. Handlers that have begun, the finally task, and what follows from them still run to their end. An execution that has failed and is closing stays as it is, and a notice says so. force: ends everything at once, including what would close the execution and what it calls. In a large family the call reaches the nearest 1000 executions immediately, and workflow_tick the others, 1000 at a time; until then, those continue as before. Repeating a cancel changes nothing. Returns the status. Errors: WF611 if it has ended otherwise, WF613 null or a reason that is too long, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_cancel(bigint, text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_rerun(execution_id bigint, tasks text[] DEFAULT NULL, reset_items boolean DEFAULT false,
  routes int[] DEFAULT NULL, reason text DEFAULT NULL)
RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_rerun_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_rerun(bigint, text[], boolean, int[], text) IS
  'Continues an execution that ended without success from where it stopped: runs the tasks named (the newest run of each; routes selects the route that led to it, default 0), or every task whose failure was not handled and every task that would have started. Successful work is kept: of a task with items, only those that did not succeed run again, and executions that a task had called continue from where they stopped; with reset_items, all items run again, and the calls are made anew. If another execution calls this one, the calling task runs again with it, and that execution continues, too. Of the executions that had been called, 1000 continue immediately, and the others once workflow_tick reaches them. Returns the status: running. Errors: WF612 if it has not ended or has completed, if that is so of an execution that calls it, or if the task that had called it has continued without it, WF613 null, a reason that is too long, or tasks and routes that do not match, WF614 too many tasks, WF616 no such execution, WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_rerun(bigint, text[], boolean, int[], text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resolve(task bigint, status text DEFAULT 'completed', result jsonb DEFAULT NULL, reason text DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_resolve_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_resolve(bigint, text, jsonb, text) IS
  'Lets a task count as done by hand: one that waits, for a worker, its time, its retry or its signal, ends as completed (or failed) with this result, without being retried; one that has failed unhandled in an execution that still closes counts as completed, so that a rerun goes on after it, and so does an undo that has failed, also after the end. An event tells who did it and why. Returns the status. Errors: WF611 if it is running, has completed, is an item that waits for its turn or that has ended, if its execution waits to begin, if its failure was handled, or if its execution has ended and it is no undo that has failed; WF613 null, a status other than completed and failed, or a reason that is too long; WF614 the result is too large; WF616 no such task; WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resolve(bigint, text, jsonb, text) FROM PUBLIC;
