-- The work protocol: workers claim tasks and report their outcomes.
--
-- A claim gives every task a lease: a token that the report must carry, valid for a limited time. If the lease expires without
-- having been extended, the task can be claimed again, under another token; a report with the old token is rejected (WF615) and
-- changes nothing. Repeating a report with the same token returns the same answer. So work is done at least once and takes effect
-- exactly once.
--
-- Statements cached in Rust are planned generically, to find rows by key (pg/statements.rs): their arrays vary in length, and
-- PostgreSQL would replan each call for the actual length, which costs more than the call itself; and a cached plan must also
-- serve a table that was empty when the plan was made. A heartbeat is rare, and is planned at each call.
--
-- workflow_finish, in Rust, locks the executions of the reported tasks in the global lock order: from then on nobody else
-- changes the tasks. Tasks reported as completed are ended and read in one step; the others are read first. If only completed tasks
-- are reported for an execution, the call does not wait for it: if another session has locked it, the reports are left to the next
-- session that locks it (engine/pending_reports.rs). Claims do not lock executions. They skip rows that others have locked, and so
-- never wait.

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
  'A worker''s report about a task: its id, the lease token it was claimed with, a status (completed, failed, timeout, abandoned or cancelled), a result and an error; may_retry false forbids a retry, retry_in overrides the delay of the task''s retry policy, hold_for keeps other tasks under the same limits from beginning, and progress is passed to the next attempt.';
COMMENT ON COLUMN workflow.outcome.task IS 'Id of the task, as returned by the claim.';
COMMENT ON COLUMN workflow.outcome.lease_token IS 'Lease token, as returned by the claim.';
COMMENT ON COLUMN workflow.outcome.status IS 'How it ended: completed, failed, timeout, abandoned or cancelled.';
COMMENT ON COLUMN workflow.outcome.result IS 'The result.';
COMMENT ON COLUMN workflow.outcome.error IS 'The error.';
COMMENT ON COLUMN workflow.outcome.may_retry IS 'False: no retry, whatever the task''s retry policy.';
COMMENT ON COLUMN workflow.outcome.retry_in IS
  'Time from now until the next retry; NULL: as determined by the task''s retry policy.';
COMMENT ON COLUMN workflow.outcome.hold_for IS
  'How long to hold the task''s limits, each with its key, or its action if it has no limits, so that no other task under them begins; NULL: nothing is held.';
COMMENT ON COLUMN workflow.outcome.progress IS
  'For a task that did not complete: how far it got, for the next attempt; NULL: the progress reported by an earlier attempt is kept.';

CREATE FUNCTION workflow.check_parts(parts int[]) RETURNS void
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_parts_wrapper';
COMMENT ON FUNCTION workflow.check_parts(int[]) IS 'Raises WF613 if a part is not 0 to 1023.';
REVOKE ALL ON FUNCTION workflow.check_parts(int[]) FROM PUBLIC;

CREATE FUNCTION workflow.draw_token() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'workflow_draw_token_wrapper';
COMMENT ON FUNCTION workflow.draw_token() IS
  'Returns a new lease token: a leading 1 bit followed by 52 random bits, a number of 16 digits that is exact in JSON. Predictable if pg_workflow.test_seed is set.';
REVOKE ALL ON FUNCTION workflow.draw_token() FROM PUBLIC;

CREATE FUNCTION workflow.expires_from(until timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin('10 seconds', until, timestamptz 'epoch');
COMMENT ON FUNCTION workflow.expires_from(timestamptz) IS 'Returns a time rounded down to a multiple of ten seconds.';
REVOKE ALL ON FUNCTION workflow.expires_from(timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.is_in_progress_elsewhere(transaction xid) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_is_in_progress_elsewhere_wrapper';
COMMENT ON FUNCTION workflow.is_in_progress_elsewhere(xid) IS
  'Whether a row''s xmax is certainly a transaction in progress in another session, so that the row cannot be locked right now. Cheaper than trying to lock it. False if the number may be that of a multixact.';
REVOKE ALL ON FUNCTION workflow.is_in_progress_elsewhere(xid) FROM PUBLIC;

CREATE FUNCTION workflow.blocks_claim(status workflow.execution_status, paused boolean, closing boolean, undo jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN paused OR (status <> 'running' AND NOT closing AND (undo ? 'unknown') IS NOT TRUE);
COMMENT ON FUNCTION workflow.blocks_claim(workflow.execution_status, boolean, boolean, jsonb) IS
  'Whether a task may not be claimed, given the status of its workflow execution, whether that is paused, whether the task closes it, and its undo.';
REVOKE ALL ON FUNCTION workflow.blocks_claim(workflow.execution_status, boolean, boolean, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_claim(worker text, max_tasks int DEFAULT 1, actions text[] DEFAULT NULL,
  lease interval DEFAULT '30 seconds', parts int[] DEFAULT NULL)
RETURNS TABLE (task bigint, lease_token bigint, execution bigint, task_name text, task_index int, action text, input jsonb,
  attempt int, lease_until timestamptz, deadline timestamptz, last_error jsonb, progress jsonb, traceparent text, workflow_ref text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_claim_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_claim(text, int, text[], interval, int[]) IS
  'Claims up to max_tasks (1 to 10000) ready tasks for a worker, of the given actions (null: any), longest waiting first; each step of priority counts as a minute of waiting. lease: how long the worker may go without a heartbeat (more than 0, at most 30 days). parts: the parts to look in; null means all. Returns one row per task: its id, the lease token that its report must carry, its execution, name, item index, action, rendered input, how many times it has been claimed, when the lease expires, when its timeout ends this attempt (null: never), the error and the progress reported by the previous attempt, the traceparent that its execution was started with (null: none), and, only if there is a traceparent, the ref of its workflow. Never waits for other sessions. A role that is bound to parts only gets tasks in these parts. Errors: WF613 for an argument out of range, WF620 if the role is bound to other parts.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_claim(text, int, text[], interval, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish(outcomes workflow.outcome[])
RETURNS TABLE (task bigint, lease_token bigint, state text, code text, message text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_finish_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_finish(workflow.outcome[]) IS
  'Accepts reports for up to 10000 tasks, advances each execution once, and returns one row per report, in order: the task, the lease token, and either its new state (completed, failed, timeout, abandoned, cancelled or retrying; for an item, the state of the item) or the code and message of its rejection: WF613 a value is invalid, WF614 a result is too large, WF615 the lease is stale, WF616 there is no such task, WF618 it is driven from outside, WF620 it is in a part that the role is not bound to. A rejected report changes nothing and does not affect the others.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish(workflow.outcome[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish_and_claim(worker text, outcomes workflow.outcome[], max_tasks int DEFAULT 1,
  actions text[] DEFAULT NULL, lease interval DEFAULT '30 seconds', parts int[] DEFAULT NULL)
RETURNS TABLE (task bigint, lease_token bigint, state text, code text, message text, execution bigint, task_name text,
  task_index int, action text, input jsonb, attempt int, lease_until timestamptz, deadline timestamptz, last_error jsonb,
  progress jsonb, traceparent text, workflow_ref text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_finish_and_claim_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_finish_and_claim(text, workflow.outcome[], int, text[], interval, int[]) IS
  'Combines workflow_finish and workflow_claim in one call and one commit. Returns first one row per report, as workflow_finish does, then one row per claimed task, with state claimed. Tasks that follow from the reports and that the worker can execute are handed to it directly, bypassing the queue; if a queued task has been waiting longer by more than pg_workflow.hand_over_grace, at most half of max_tasks are handed over.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish_and_claim(text, workflow.outcome[], int, text[], interval, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_complete(task bigint, lease_token bigint, result jsonb DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_complete_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_complete(bigint, bigint, jsonb) IS
  'Reports a task as completed, with the lease token it was claimed with and its result. Returns its new state, as workflow_finish does. Errors: WF613 for null, WF614 if the result is too large, WF615 if the lease is stale, WF616 if there is no such task, WF618 if it is driven from outside, WF620 if it is in a part that the role is not bound to.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_complete(bigint, bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_fail(task bigint, lease_token bigint, error jsonb DEFAULT NULL, status text DEFAULT 'failed',
  result jsonb DEFAULT NULL, may_retry boolean DEFAULT NULL, retry_in interval DEFAULT NULL, progress jsonb DEFAULT NULL,
  hold_for interval DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_fail_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_fail(bigint, bigint, jsonb, text, jsonb, boolean, interval, jsonb, interval) IS
  'Reports a task as failed (or timeout, abandoned, cancelled), with an error. may_retry: false forbids a retry. retry_in: time until the next retry, overriding the task''s retry policy. progress: how far the task got, passed to the next attempt. hold_for: how long to hold its limits, each with its key, or its action if it has no limits, so that no other task under them begins. Returns its new state: retrying, or how it ended. Errors: as workflow_complete.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_fail(bigint, bigint, jsonb, text, jsonb, boolean, interval, jsonb, interval) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_heartbeat(tasks bigint[], lease_tokens bigint[], lease interval DEFAULT '30 seconds',
  progress jsonb[] DEFAULT NULL)
RETURNS TABLE (task bigint, state text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_heartbeat_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval, jsonb[]) IS
  'Extends leases: the named tasks, each with the lease token it was claimed with, are held for the given interval from now. progress: one element per task, saying how far it has got (null: nothing new); it is stored and passed to the next attempt, except for tasks that are lost or being reported at this moment. Returns one row per task, in order: held; stop: still held, but its workflow is being stopped, so its result no longer matters (tasks that close it, or that have an undo, stay held); lost: another worker has it, or it has ended. Errors: WF613 for null, lists of different lengths, or a lease out of range; WF614 for progress of more than pg_workflow.max_result_bytes; WF620 if a task is in a part that the role is not bound to.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval, jsonb[]) FROM PUBLIC;

