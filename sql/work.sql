-- The work protocol: workers claim tasks and report their outcomes.
--
-- A claim gives every task a lease: a token that the report must carry, valid for a limited time. If the lease expires without
-- having been extended, the task can be claimed again, under another token; a report with the old token is rejected (WF615) and
-- changes nothing. Repeating a report with the same token returns the same answer. So work is done at least once, and counts
-- exactly once.
--
-- Statements cached in Rust are planned generically, to find rows by key (pg/statements.rs): their arrays vary in length, and
-- PostgreSQL would replan each call for the actual length, which costs more than the call itself; and a cached plan must also
-- serve a table that was empty when the plan was made. A heartbeat is rare, and is planned at each call.
--
-- workflow_finish, in Rust, locks the executions of the reported tasks in the global lock order: from then on nobody else
-- changes the tasks. Tasks reported as completed are ended and read in one step; the others are read first. An execution of
-- which only completed tasks are reported is not waited for: if somebody else has locked it, the reports are left to whoever
-- locks it next (engine/pending_reports.rs). Claims do not lock executions. They skip rows that others have locked, and so never
-- wait.

CREATE TYPE workflow.outcome AS (
  task bigint,
  lease_token bigint,
  status workflow.execution_status,
  result jsonb,
  error jsonb,
  may_retry boolean,
  retry_in interval,
  hold_for interval,
  progress jsonb
);
COMMENT ON TYPE workflow.outcome IS
  'A worker''s report about a task: its id, the lease token it was claimed with, a status (completed, failed, timeout, abandoned or cancelled), a result and an error; may_retry false forbids a retry, retry_in overrides the delay set by the task''s retry policy, hold_for holds back what is under the same limits, and progress is handed to the next attempt.';
COMMENT ON COLUMN workflow.outcome.task IS 'Id of the task, as returned by the claim.';
COMMENT ON COLUMN workflow.outcome.lease_token IS 'Lease token, as returned by the claim.';
COMMENT ON COLUMN workflow.outcome.status IS 'How it ended: completed, failed, timeout, abandoned or cancelled.';
COMMENT ON COLUMN workflow.outcome.result IS 'The result.';
COMMENT ON COLUMN workflow.outcome.error IS 'The error.';
COMMENT ON COLUMN workflow.outcome.may_retry IS 'False: no retry, whatever the task''s retry policy.';
COMMENT ON COLUMN workflow.outcome.retry_in IS
  'Time from now until the next retry; NULL: as the task''s retry policy says.';
COMMENT ON COLUMN workflow.outcome.hold_for IS
  'How long to hold the task''s limits, each by its key, or its action if it has no limits: no other task under them begins; NULL: nothing is held.';
COMMENT ON COLUMN workflow.outcome.progress IS
  'Of a task that did not complete: how far it got, for the next attempt; NULL: what an earlier attempt said stands.';

CREATE FUNCTION workflow.check_parts(parts int[]) RETURNS void
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_parts_wrapper';
COMMENT ON FUNCTION workflow.check_parts(int[]) IS 'Raises WF613 if a part is not 0 to 1023.';
REVOKE ALL ON FUNCTION workflow.check_parts(int[]) FROM PUBLIC;

CREATE FUNCTION workflow.draw_token() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'workflow_draw_token_wrapper';
COMMENT ON FUNCTION workflow.draw_token() IS
  'Returns a new lease token: 52 random bits after a leading one bit, which makes 16 digits and is exact in JSON. Predictable if pg_workflow.test_seed is set.';
REVOKE ALL ON FUNCTION workflow.draw_token() FROM PUBLIC;

CREATE FUNCTION workflow.expires_from(until timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin('10 seconds', until, timestamptz 'epoch');
COMMENT ON FUNCTION workflow.expires_from(timestamptz) IS 'Returns a time rounded down to a multiple of ten seconds.';
REVOKE ALL ON FUNCTION workflow.expires_from(timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.is_in_progress_elsewhere(transaction xid) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_is_in_progress_elsewhere_wrapper';
COMMENT ON FUNCTION workflow.is_in_progress_elsewhere(xid) IS
  'Whether a row''s xmax is certainly a transaction in progress in another session, so that the row cannot be locked right now; cheaper than trying. False if the number may be a multixact''s.';
REVOKE ALL ON FUNCTION workflow.is_in_progress_elsewhere(xid) FROM PUBLIC;

CREATE FUNCTION workflow.keeps_out(status workflow.execution_status, paused boolean, closing boolean, undo jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN paused OR (status <> 'running' AND NOT closing AND (undo ? 'unknown') IS NOT TRUE);
COMMENT ON FUNCTION workflow.keeps_out(workflow.execution_status, boolean, boolean, jsonb) IS
  'Whether a task may not be claimed: its workflow execution has this status and is paused or not, and it closes that or not, or must be undone if it was done.';
REVOKE ALL ON FUNCTION workflow.keeps_out(workflow.execution_status, boolean, boolean, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_claim(worker text, max_tasks int DEFAULT 1, actions text[] DEFAULT NULL,
  lease interval DEFAULT '30 seconds', parts int[] DEFAULT NULL)
RETURNS TABLE (task bigint, lease_token bigint, execution bigint, task_name text, task_index int, action text, input jsonb,
  attempt int, lease_until timestamptz, deadline timestamptz, last_error jsonb, progress jsonb, traceparent text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_claim_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_claim(text, int, text[], interval, int[]) IS
  'Claims up to max_tasks (1 to 10000) ready tasks for a worker, of the given actions (null: any), longest waiting first; each step of priority counts as a minute of waiting. lease: how long the worker may go without a heartbeat (more than 0, at most 30 days). parts: where to look; null: everywhere. Returns one row per task: its id, the lease token that its report must carry, its execution, name, item index, action, rendered input, how many times it was claimed, when the lease expires, when its timeout ends this attempt (null: never), the error and the progress that the attempt before reported, and the traceparent that its execution was started with (null: none). Never waits for others. A role that is bound to parts gets only tasks in these. Errors: WF613 for an argument out of range, WF620 if the role is bound to other parts.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_claim(text, int, text[], interval, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish(outcomes workflow.outcome[])
RETURNS TABLE (task bigint, lease_token bigint, state text, code text, message text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_finish_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_finish(workflow.outcome[]) IS
  'Accepts reports for up to 10000 tasks, advances each execution once, and returns one row per report, in order: the task, the lease token, and either its new state (completed, failed, timeout, abandoned, cancelled or retrying; of an item, its own) or the code and message of its rejection: WF613 an invalid value, WF614 a result too large, WF615 the lease is stale, WF616 no such task, WF618 driven from outside, WF620 the task is in a part that the role is not bound to. A rejected report changes nothing and does not affect the others.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish(workflow.outcome[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish_and_claim(worker text, outcomes workflow.outcome[], max_tasks int DEFAULT 1,
  actions text[] DEFAULT NULL, lease interval DEFAULT '30 seconds', parts int[] DEFAULT NULL)
RETURNS TABLE (task bigint, lease_token bigint, state text, code text, message text, execution bigint, task_name text,
  task_index int, action text, input jsonb, attempt int, lease_until timestamptz, deadline timestamptz, last_error jsonb,
  progress jsonb, traceparent text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_finish_and_claim_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_finish_and_claim(text, workflow.outcome[], int, text[], interval, int[]) IS
  'workflow_finish and workflow_claim in one call and one commit. Returns first one row per report, as workflow_finish does, then one row per claimed task, with state claimed. Tasks that follow from the reports and that the worker can execute are handed to it directly, bypassing the queue; if others have been waiting longer by more than pg_workflow.hand_over_grace, at most half of max_tasks are.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish_and_claim(text, workflow.outcome[], int, text[], interval, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_complete(task bigint, lease_token bigint, result jsonb DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_complete_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_complete(bigint, bigint, jsonb) IS
  'Reports a task as completed, with the token of the lease it was claimed under and its result. Returns its new state, as workflow_finish does. Errors: WF613 null, WF614 result too large, WF615 the lease is stale, WF616 no such task, WF618 driven from outside, WF620 the task is in a part that the role is not bound to.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_complete(bigint, bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_fail(task bigint, lease_token bigint, error jsonb DEFAULT NULL, status text DEFAULT 'failed',
  result jsonb DEFAULT NULL, may_retry boolean DEFAULT NULL, retry_in interval DEFAULT NULL, progress jsonb DEFAULT NULL,
  hold_for interval DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_fail_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_fail(bigint, bigint, jsonb, text, jsonb, boolean, interval, jsonb, interval) IS
  'Reports a task as failed (or timeout, abandoned, cancelled), with an error. may_retry false forbids a retry; retry_in sets the time until the next one instead of the task''s retry policy; progress is handed to whoever claims the task next; hold_for: how long to hold its limits, each by its key, or its action if it has no limits: no other task under them begins. Returns its new state: retrying, or how it ended. Errors: as workflow_complete.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_fail(bigint, bigint, jsonb, text, jsonb, boolean, interval, jsonb, interval) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_heartbeat(tasks bigint[], lease_tokens bigint[], lease interval DEFAULT '30 seconds',
  progress jsonb[] DEFAULT NULL)
RETURNS TABLE (task bigint, state text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_heartbeat_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval, jsonb[]) IS
  'Extends leases: the tasks named, each with the lease token it was claimed with, are held for the given interval from now. progress: one element per task, how far it has got (null: nothing new), which is stored and handed to the next attempt; that of a task that is lost, or being reported at this moment, is not. Returns one row per task, in order: held; stop: still held, but its workflow is being stopped, so its result no longer matters (tasks that close it, or that have an undo, stay held); lost: somebody else has it, or it has ended. Errors: WF613 for null, for lists of different lengths, and for a lease out of range; WF614 for progress with more bytes than pg_workflow.max_result_bytes; WF620 if a task is in a part that the role is not bound to.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval, jsonb[]) FROM PUBLIC;

