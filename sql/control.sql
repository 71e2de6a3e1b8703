-- Controls executions that are running or have failed. Each call locks the workflow execution, asks the conductor, and writes the
-- consequences; repeating a call returns the same answer.

CREATE FUNCTION pg_catalog.workflow_pause(execution_id bigint, reason text DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_pause_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_pause(bigint, text) IS
  'Pauses an execution and all executions that it calls: none of their tasks can be claimed until they are resumed; running tasks may finish. A calling execution that has nothing else to do is paused, too. Tasks that close an execution which has failed or is being cancelled wait as well. In a large family, the call reaches the nearest 1000 executions immediately, and workflow_tick reaches the others, 1000 at a time; until then, those continue as before. Pausing a paused execution changes at most the reason. Returns the status. Errors: WF611 if the execution has ended, WF613 for null or a reason that is too long, WF616 if there is no such execution, WF618 if it is driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_pause(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume(execution_id bigint, reason text DEFAULT NULL) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_resume_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_resume(bigint, text) IS
  'Ends a pause of an execution and of the executions that it calls or is called by: tasks can be claimed again; if nothing is left to do, the execution ends. In a large family, the call reaches the nearest 1000 executions immediately, and workflow_tick reaches the others, 1000 at a time; until then, those continue as before. Resuming an execution that is not paused changes nothing. Returns the status. Errors: WF611 if the execution has ended, WF613 for null or a reason that is too long, WF616 if there is no such execution, WF618 if it is driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_cancel(execution_id bigint, reason text DEFAULT NULL, force boolean DEFAULT false) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_cancel_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_cancel(bigint, text, boolean) IS
  'Cancels an execution and all executions that it calls: no further task starts, except those that close it. Once it has ended, the cancel applies to the calling execution, too. The status is canceling while tasks are running and while the execution closes, and then cancelled, whatever the tasks report; with cancellation_policy cancel_running, the leases of running tasks become void immediately. Handlers that have begun, the finally task, and the tasks that follow from them still run to their end. An execution that has failed and is closing stays as it is, and a notice says so. force: ends everything at once, including the tasks that would close the execution and the executions it calls. In a large family, the call reaches the nearest 1000 executions immediately, and workflow_tick reaches the others, 1000 at a time; until then, those continue as before. Repeating a cancel changes nothing. Returns the status. Errors: WF611 if the execution has ended otherwise, WF613 for null or a reason that is too long, WF616 if there is no such execution, WF618 if it is driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_cancel(bigint, text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_rerun(execution_id bigint, tasks text[] DEFAULT NULL, reset_items boolean DEFAULT false,
  routes int[] DEFAULT NULL, reason text DEFAULT NULL)
RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_rerun_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_rerun(bigint, text[], boolean, int[], text) IS
  'Continues an execution that ended without success from where it stopped. Reruns the named tasks (the newest run of each; routes selects the route that led to it, default 0), or by default every task whose failure was not handled and every task that would have started next. Successful work is kept: of a task with items, only the items that did not succeed run again, and executions that a task had called continue from where they stopped. With reset_items, all items run again, and every call starts a new execution. If another execution calls this one, the calling task runs again, and that execution continues, too. Of the called executions, 1000 continue immediately, the others once workflow_tick reaches them. Returns the status: running, or the one it had if its caller has to wait before it can continue the call, for concurrency or another limit; then it continues with the caller. Errors: WF612 if the execution has not ended or has completed, if the same is true of a calling execution, if the caller has continued without it, or if it has to wait although tasks are named or items are reset; WF613 for null, a reason that is too long, or tasks and routes that do not match; WF614 for too many tasks; WF616 if there is no such execution; WF618 if it is driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_rerun(bigint, text[], boolean, int[], text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resolve(task bigint, status text DEFAULT 'completed', result jsonb DEFAULT NULL, reason text DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_resolve_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_resolve(bigint, text, jsonb, text) IS
  'Marks a task as done by hand. A task that is waiting for a worker, its start time, a retry or a signal ends as completed (or failed) with the given result and is not retried. A task that has failed unhandled in an execution that is still closing counts as completed, so that a rerun continues after it; so does an undo that has failed, even after the execution has ended. An event records who did it and why. Returns the status. Errors: WF611 if the task is running or has completed, if it is an item that is waiting for its turn or has ended, if its execution is waiting to begin, if its failure was handled, or if its execution has ended and the task is not a failed undo; WF613 for null, a status other than completed and failed, or a reason that is too long; WF614 if the result is too large; WF616 if there is no such task; WF618 if it is driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resolve(bigint, text, jsonb, text) FROM PUBLIC;
