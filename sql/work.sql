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

CREATE FUNCTION workflow.end_tasks(outcomes workflow.outcome[], now timestamptz) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'workflow_end_tasks_wrapper';
COMMENT ON FUNCTION workflow.end_tasks(workflow.outcome[], timestamptz) IS
  'What the engine itself reports of tasks that have not ended: no token is asked for.';
REVOKE ALL ON FUNCTION workflow.end_tasks(workflow.outcome[], timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.dispatch(tasks bigint[], runs bigint[], now timestamptz) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'workflow_dispatch_wrapper';
COMMENT ON FUNCTION workflow.dispatch(bigint[], bigint[], timestamptz) IS
  'Goes on with tasks that no worker does: they route, wait for a signal, or call a workflow. Their workflow executions, runs, are locked.';
REVOKE ALL ON FUNCTION workflow.dispatch(bigint[], bigint[], timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.check_lease(lease interval) RETURNS void
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_lease_wrapper';
COMMENT ON FUNCTION workflow.check_lease(interval) IS 'Raises WF613 where a lease is not longer than nothing and at most 30 days.';
REVOKE ALL ON FUNCTION workflow.check_lease(interval) FROM PUBLIC;

CREATE FUNCTION workflow.check_parts(parts int[]) RETURNS void
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_parts_wrapper';
COMMENT ON FUNCTION workflow.check_parts(int[]) IS 'Raises WF613 where a part is not 0 to 1023.';
REVOKE ALL ON FUNCTION workflow.check_parts(int[]) FROM PUBLIC;

CREATE FUNCTION workflow.expires_from(until timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN date_bin('10 seconds', until, timestamptz 'epoch');
COMMENT ON FUNCTION workflow.expires_from(timestamptz) IS 'The last full ten seconds up to a time.';
REVOKE ALL ON FUNCTION workflow.expires_from(timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.goes_on_elsewhere(transaction xid) RETURNS boolean
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_goes_on_elsewhere_wrapper';
COMMENT ON FUNCTION workflow.goes_on_elsewhere(xid) IS
  'Whether another session''s transaction goes on, so that a row whose xmax it is may not be locked for now. To ask that is cheaper than to try.';
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

CREATE FUNCTION workflow.put_back(part int, actions text[], now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  strays bigint[];
  locked bigint[];
  ended workflow.outcome[];
BEGIN
  strays := ARRAY(
    SELECT t.id FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE t.part = put_back.part AND t.action_ref = ANY (actions) AND t.queue_at IS NOT NULL AND workflow.keeps_out(w.status, w.paused, w.state)
    LIMIT 1000);
  IF strays = '{}' THEN
    RETURN;
  END IF;
  locked := workflow.lock_runs(strays);
  strays := ARRAY(
    SELECT t.id FROM workflow.workflow_task_execution t
    WHERE (t.part, t.id) IN (SELECT put_back.part, s.id FROM unnest(strays) AS s(id)) AND t.workflow_execution = ANY (locked)
      AND t.queue_at IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED);
  UPDATE workflow.workflow_task_execution t SET queue_at = NULL, updated = now
  FROM unnest(strays) AS s(id), workflow.workflow_execution w
  WHERE t.part = put_back.part AND t.id = s.id AND w.part = t.part AND w.id = t.workflow_execution AND w.paused;
  SELECT array_agg(ROW(t.id, NULL, 'cancelled', NULL, NULL, NULL, NULL)::workflow.outcome ORDER BY t.id) INTO ended
  FROM unnest(strays) AS s(id)
  JOIN workflow.workflow_task_execution t ON t.part = put_back.part AND t.id = s.id
  JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
  WHERE NOT w.paused AND workflow.keeps_out(w.status, w.paused, w.state);
  IF ended IS NOT NULL THEN
    UPDATE workflow.workflow_task_execution t SET queue_at = NULL
    FROM unnest(ended) AS o WHERE t.part = put_back.part AND t.id = o.task;
    PERFORM workflow.end_tasks(ended, now);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.put_back(int, text[], timestamptz) IS
  'Takes tasks out of the queue whose execution was paused or stopped while somebody claimed them who then rolled back: they wait for the end of the pause, or have ended as cancelled. Up to 1000; what others have locked is left.';
REVOKE ALL ON FUNCTION workflow.put_back(int, text[], timestamptz) FROM PUBLIC;

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

CREATE FUNCTION workflow.heartbeat(tasks bigint[], lease_tokens bigint[], lease interval)
RETURNS TABLE (task bigint, state text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('tasks', tasks);
  PERFORM workflow.require('lease_tokens', lease_tokens);
  PERFORM workflow.check_lease(heartbeat.lease);
  IF cardinality(tasks) <> cardinality(lease_tokens) OR cardinality(tasks) > 10000 THEN
    PERFORM workflow.raise_error('WF613', 'tasks and lease_tokens do not match',
      format('%s tasks, %s lease tokens', cardinality(tasks), cardinality(lease_tokens)),
      'give each of at most 10000 tasks the lease token it was claimed with');
  END IF;
  PERFORM 1 FROM unnest(heartbeat.tasks, heartbeat.lease_tokens) AS n(task, token)
  JOIN workflow.lease l ON l.part = (n.task >> 48)::int AND (l.id = n.token OR (l.token = n.token AND l.id <> l.token))
  ORDER BY l.part, l.id FOR NO KEY UPDATE OF l;
  -- One row of a claim, its first, is for what is named here. What else that row held, and still runs, goes to a row of
  -- its own and keeps the end it has; from other such rows, left by earlier heartbeats, what is named here is taken out.
  WITH named AS MATERIALIZED (
    SELECT n.token, array_agg(DISTINCT n.task) AS tasks
    FROM unnest(heartbeat.tasks, heartbeat.lease_tokens) AS n(task, token)
    JOIN workflow.workflow_task_execution t ON t.part = (n.task >> 48)::int AND t.id = n.task
    WHERE t.status = 'running' AND t.lease = n.token GROUP BY n.token),
  found AS MATERIALIZED (
    SELECT l.part, l.id, l.token, l.worker, l.until, named.tasks AS named, rest.tasks AS rest,
      row_number() OVER (PARTITION BY l.token ORDER BY l.id) = 1 AS is_first
    FROM named
    JOIN workflow.lease l ON l.part = (named.token >> 48)::int AND (l.id = named.token OR (l.token = named.token AND l.id <> l.token))
    CROSS JOIN LATERAL (
      SELECT array_agg(t.id ORDER BY t.id) AS tasks FROM unnest(l.tasks) AS o(id)
      JOIN workflow.workflow_task_execution t ON t.part = l.part AND t.id = o.id
      WHERE t.status = 'running' AND t.lease = l.token AND t.id <> ALL (named.tasks)) AS rest),
  left_behind AS (
    INSERT INTO workflow.lease (part, id, token, worker, created, expires_from, until, updated, tasks)
    SELECT f.part, workflow.make_id(f.part, nextval('workflow.lease_id_seq')), f.token, f.worker, now, workflow.expires_from(f.until),
      f.until, now, f.rest
    FROM found f WHERE f.is_first AND f.rest IS NOT NULL),
  emptied AS (
    DELETE FROM workflow.lease l USING found f WHERE l.part = f.part AND l.id = f.id AND NOT f.is_first AND f.rest IS NULL)
  UPDATE workflow.lease l
  SET tasks = CASE WHEN f.is_first THEN f.named ELSE f.rest END,
      until = CASE WHEN f.is_first THEN now + heartbeat.lease ELSE l.until END,
      expires_from = CASE WHEN f.is_first THEN workflow.expires_from(now + heartbeat.lease) ELSE l.expires_from END, updated = now
  FROM found f WHERE l.part = f.part AND l.id = f.id AND (f.is_first OR f.rest IS NOT NULL);
  RETURN QUERY
  SELECT n.task, CASE
    WHEN t.id IS NULL OR t.lease IS DISTINCT FROM n.token OR t.status <> 'running' THEN 'lost'
    WHEN w.status <> 'running' THEN 'stop'
    ELSE 'held' END
  FROM unnest(heartbeat.tasks, heartbeat.lease_tokens) WITH ORDINALITY AS n(task, token, place)
  LEFT JOIN workflow.workflow_task_execution t ON t.part = (n.task >> 48)::int AND t.id = n.task
  LEFT JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
  ORDER BY n.place;
END $$;
COMMENT ON FUNCTION workflow.heartbeat(bigint[], bigint[], interval) IS
  'workflow_heartbeat, for tasks of any part.';
REVOKE ALL ON FUNCTION workflow.heartbeat(bigint[], bigint[], interval) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_heartbeat(tasks bigint[], lease_tokens bigint[], lease interval DEFAULT '30 seconds')
RETURNS TABLE (task bigint, state text)
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100
SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_heartbeat_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval) IS
  'Prolongs leases: the tasks named, each with the lease token it was claimed with, are held for another while from now. A row a task, in order: held; stop: still held, but its workflow is to stop, so that its result matters no more; lost: somebody else has it, or it has ended. Errors: WF613 for null, for lists of different length, and for a lease out of range; WF620 where a task is in a part that the role is not bound to.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_heartbeat(bigint[], bigint[], interval) FROM PUBLIC;

CREATE FUNCTION workflow.lock_runs(tasks bigint[]) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (WITH free AS MATERIALIZED (
    SELECT w.id, w.state FROM workflow.workflow_execution w
    WHERE (w.part, w.id) IN (SELECT t.part, t.workflow_execution FROM unnest(tasks) AS o(id)
                             JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id)
      AND w.version IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED)
    SELECT array_agg(f.id) FROM free f WHERE workflow.may_count(f.id, f.state));
END $$;
COMMENT ON FUNCTION workflow.lock_runs(bigint[]) IS
  'Locks the executions of tasks as far as nobody else has, and gives their ids. What time does never waits: it comes back.';
REVOKE ALL ON FUNCTION workflow.lock_runs(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.expire_leases(max_rows int, now timestamptz, parts int[]) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  due bigint[];
  lost workflow.outcome[];
  locked bigint[];
  freed int;
BEGIN
  SELECT array_agg(d.id) INTO due
  FROM (SELECT l.id FROM workflow.lease l
        WHERE l.expires_from <= now AND l.until <= now AND (parts IS NULL OR l.part = ANY (parts))
        ORDER BY l.part, l.expires_from LIMIT max_rows FOR UPDATE SKIP LOCKED) AS d;
  IF due IS NULL THEN
    RETURN 0;
  END IF;
  SELECT array_agg(ROW(t.id, t.lease, 'abandoned', NULL, NULL, NULL, NULL)::workflow.outcome ORDER BY t.id) INTO lost
  FROM unnest(due) AS d(id)
  JOIN workflow.lease l ON l.part = (d.id >> 48)::int AND l.id = d.id
  CROSS JOIN LATERAL unnest(l.tasks) AS o(id)
  JOIN workflow.workflow_task_execution t ON t.part = l.part AND t.id = o.id
  WHERE t.status = 'running' AND t.lease = l.token;
  locked := workflow.lock_runs(ARRAY(SELECT o.task FROM unnest(lost) AS o));
  PERFORM workflow.log_expired(lost, locked, now);
  UPDATE workflow.workflow_task_execution t
  SET status = 'scheduled', lease = NULL, due_at = NULL, started_at = NULL, updated = now,
      queue_at = CASE WHEN NOT w.paused THEN now - t.priority * interval '1 minute' END
  FROM unnest(lost) AS o, workflow.workflow_execution w
  WHERE t.part = (o.task >> 48)::int AND t.id = o.task AND t.status = 'running' AND t.lease = o.lease_token
    AND w.part = t.part AND w.id = t.workflow_execution AND w.id = ANY (locked) AND w.status = 'running';
  GET DIAGNOSTICS freed = ROW_COUNT;
  -- Where nothing new is to start, a task that nobody works on has ended.
  SELECT array_agg(o::workflow.outcome) INTO lost
  FROM unnest(lost) AS o
  JOIN workflow.workflow_task_execution t ON t.part = (o.task >> 48)::int AND t.id = o.task
  WHERE t.status = 'running' AND t.lease = o.lease_token AND t.workflow_execution = ANY (locked);
  IF lost IS NOT NULL THEN
    PERFORM workflow.end_tasks(lost, now);
  END IF;
  -- What nothing runs under any more is of no use; most such leases are, their tasks having been reported one by one.
  DELETE FROM workflow.lease l
  USING unnest(due) AS d(id)
  WHERE l.part = (d.id >> 48)::int AND l.id = d.id
    AND NOT EXISTS (SELECT FROM unnest(l.tasks) AS o(id)
                    JOIN workflow.workflow_task_execution t ON t.part = l.part AND t.id = o.id
                    WHERE t.status = 'running' AND t.lease = l.token);
  RETURN freed;
END $$;
COMMENT ON FUNCTION workflow.expire_leases(int, timestamptz, int[]) IS
  'Makes the tasks of up to max_rows leases that have ended claimable again; gives how many tasks that were. Reads the leases that end within ten seconds.';
REVOKE ALL ON FUNCTION workflow.expire_leases(int, timestamptz, int[]) FROM PUBLIC;

