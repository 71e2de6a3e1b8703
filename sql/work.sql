-- The work protocol: workers claim tasks and report what came of them.
--
-- A claim gives every task a lease: a token that the report must carry, good for a while. When the while is over and
-- nobody has prolonged it, the task can be claimed again, under another token; a report with the old one is refused
-- (WF615) and changes nothing. A report that is repeated with its own token is answered as the first time. So work is
-- done at least once, and counts exactly once.
--
-- Statements that are kept in Rust are planned for any arguments, and to find rows by keys (plans.rs): their arrays have any number
-- of elements, and PostgreSQL would plan each call anew for the number at hand, which costs more than the call; and a plan
-- that is kept must serve a table that was empty when it was made. A heartbeat is rare, and is planned at each call.
--
-- workflow_finish, in Rust, locks the executions of the reported tasks in the one order there is: from then on nobody else
-- changes the tasks. What is reported as done it ends as it reads it, the rest it reads first. Items that are done, but for the
-- last of their task, need no turn: their reports share a lock, and whoever has the turn next counts them (uncounted.rs). Claims
-- take no lock of executions. They skip what others have locked, and so never wait.

CREATE TYPE workflow.outcome AS (
  task bigint,
  lease_token bigint,
  status workflow.execution_status,
  result jsonb,
  error jsonb,
  may_retry boolean,
  retry_in interval
);
COMMENT ON TYPE workflow.outcome IS
  'What a worker reports of a task: its id, the lease token it was claimed with, completed, failed, timeout, abandoned or cancelled, a result, an error; may_retry false forbids a retry, retry_in says when the next one is due instead of the task''s rule.';
COMMENT ON COLUMN workflow.outcome.task IS 'The task, by the id that the claim gave.';
COMMENT ON COLUMN workflow.outcome.lease_token IS 'The lease token that the claim gave with it.';
COMMENT ON COLUMN workflow.outcome.status IS 'How it ended: completed, failed, timeout, abandoned or cancelled.';
COMMENT ON COLUMN workflow.outcome.result IS 'What came out.';
COMMENT ON COLUMN workflow.outcome.error IS 'What went wrong.';
COMMENT ON COLUMN workflow.outcome.may_retry IS 'False: no retry, whatever the task''s rule.';
COMMENT ON COLUMN workflow.outcome.retry_in IS 'When the next retry is due, from now; NULL: by the task''s rule.';

CREATE FUNCTION workflow.check_parts(parts int[]) RETURNS void
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_parts_wrapper';
COMMENT ON FUNCTION workflow.check_parts(int[]) IS 'Raises WF613 where a part is not 0 to 1023.';
REVOKE ALL ON FUNCTION workflow.check_parts(int[]) FROM PUBLIC;

CREATE FUNCTION workflow.draw_token() RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'workflow_draw_token_wrapper';
COMMENT ON FUNCTION workflow.draw_token() IS
  'Draws a lease token: 52 random bits after a leading one, which is 16 digits and exact in JSON. Predictable where pg_workflow.test_seed is set.';
REVOKE ALL ON FUNCTION workflow.draw_token() FROM PUBLIC;

CREATE FUNCTION workflow.expires_from(until timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin('10 seconds', until, timestamptz 'epoch');
COMMENT ON FUNCTION workflow.expires_from(timestamptz) IS 'The last full ten seconds up to a time.';
REVOKE ALL ON FUNCTION workflow.expires_from(timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.goes_on_elsewhere(transaction xid) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_goes_on_elsewhere_wrapper';
COMMENT ON FUNCTION workflow.goes_on_elsewhere(xid) IS
  'Whether a row''s xmax is surely another session''s transaction that goes on, so that the row cannot be locked for now: asking is cheaper than trying. False where the number may be a multixact''s.';
REVOKE ALL ON FUNCTION workflow.goes_on_elsewhere(xid) FROM PUBLIC;

CREATE FUNCTION workflow.keeps_out(status workflow.execution_status, paused boolean, state jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- What goes on in a workflow that failed began beside `fail`; what goes on when there is a verdict is its last task.
RETURN paused OR (status NOT IN ('running', 'failed') AND NOT coalesce(state ? 'verdict', false));
COMMENT ON FUNCTION workflow.keeps_out(workflow.execution_status, boolean, jsonb) IS
  'Whether no task of a workflow execution that stands so may be claimed.';
REVOKE ALL ON FUNCTION workflow.keeps_out(workflow.execution_status, boolean, jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.may_count(id bigint, state jsonb) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'workflow_may_count_wrapper';
COMMENT ON FUNCTION workflow.may_count(bigint, jsonb) IS
  'Whether nobody reports items of a workflow execution at this moment without having locked it, as the caller has: then what it remembers may be gone on with, and until the end of the transaction nobody will.';
REVOKE ALL ON FUNCTION workflow.may_count(bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.next_part(after int) RETURNS int
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT t.part FROM workflow.workflow_task_execution t
          WHERE t.queue_at IS NOT NULL AND t.part > next_part.after ORDER BY t.part LIMIT 1);
END $$;
COMMENT ON FUNCTION workflow.next_part(int) IS 'The next part after this one that has something in the queue; null: none has.';
REVOKE ALL ON FUNCTION workflow.next_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_claim(worker text, max_tasks int DEFAULT 1, actions text[] DEFAULT NULL,
  lease interval DEFAULT '30 seconds', parts int[] DEFAULT NULL)
RETURNS TABLE (task bigint, lease_token bigint, workflow_execution bigint, task_name text, task_index int, action text, input jsonb,
  attempt int, lease_until timestamptz)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_claim_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_claim(text, int, text[], interval, int[]) IS
  'Gives a worker up to max_tasks (1 to 10000) tasks that are ready, of the actions it names (null: any), what waited longest first; priority counts as minutes of waiting. lease: how long it may work on them without a word (longer than nothing, at most 30 days). parts: where to look, null: everywhere. A row a task: its id, the lease token that its report must carry, its workflow execution, name, item number, action, rendered input, how often it was claimed, and when the lease ends. Never waits for others. A role that is bound to parts gets tasks of these. Errors: WF613 for an argument out of range, WF620 where the role is bound to other parts.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_claim(text, int, text[], interval, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish(outcomes workflow.outcome[])
RETURNS TABLE (task bigint, lease_token bigint, state text, code text, message text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_finish_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_finish(workflow.outcome[]) IS
  'Takes the reports of up to 10000 tasks, advances each execution once, and answers each report in its place: the task, the lease, and either its state now (completed, failed, timeout, abandoned, cancelled, retrying; running where other items of the task still are) or the code and message of its refusal: WF613 a value that cannot be, WF614 a result too large, WF615 the lease is stale, WF616 no such task, WF618 driven from outside, WF620 the task is in a part that the role is not bound to. A refused report changes nothing and does not touch the others.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish(workflow.outcome[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish_and_claim(worker text, outcomes workflow.outcome[], max_tasks int DEFAULT 1,
  actions text[] DEFAULT NULL, lease interval DEFAULT '30 seconds', parts int[] DEFAULT NULL)
RETURNS TABLE (task bigint, lease_token bigint, state text, code text, message text, workflow_execution bigint, task_name text,
  task_index int, action text, input jsonb, attempt int, lease_until timestamptz)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_finish_and_claim_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_finish_and_claim(text, workflow.outcome[], int, text[], interval, int[]) IS
  'workflow_finish and workflow_claim in one call and one commit. First an answer a report, as workflow_finish gives it; then a row a task claimed, with state claimed. What follows from the reports and the worker can do is handed to it at once, without passing through the queue; where others have waited for more than pg_workflow.hand_over_grace longer, at most half of max_tasks is.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish_and_claim(text, workflow.outcome[], int, text[], interval, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_complete(task bigint, lease_token bigint, result jsonb DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_complete_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_complete(bigint, bigint, jsonb) IS
  'Reports a task done, with the lease it was claimed with and its result. Answers its state now, as workflow_finish does. Errors: WF613 null, WF614 result too large, WF615 the lease is stale, WF616 no such task, WF618 driven from outside, WF620 the task is in a part that the role is not bound to.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_complete(bigint, bigint, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_fail(task bigint, lease_token bigint, error jsonb DEFAULT NULL, status text DEFAULT 'failed',
  result jsonb DEFAULT NULL, may_retry boolean DEFAULT NULL, retry_in interval DEFAULT NULL) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_fail_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_fail(bigint, bigint, jsonb, text, jsonb, boolean, interval) IS
  'Reports a task failed (or timeout, abandoned, cancelled), with what went wrong. may_retry false forbids a retry; retry_in says when the next is due instead of the task''s rule. Answers its state now: retrying, or how it ended. Errors as workflow_complete.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_fail(bigint, bigint, jsonb, text, jsonb, boolean, interval) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_heartbeat(tasks bigint[], lease_tokens bigint[], lease interval DEFAULT '30 seconds')
RETURNS TABLE (task bigint, state text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_heartbeat_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval) IS
  'Prolongs leases: the tasks named, each with the lease token it was claimed with, are held for another while from now. A row a task, in order: held; stop: still held, but its workflow is to stop, so that its result matters no more; lost: somebody else has it, or it has ended. Errors: WF613 for null, for lists of different length, and for a lease out of range; WF620 where a task is in a part that the role is not bound to.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval) FROM PUBLIC;

