-- Monitoring views: queues, claims, workers, actions, and overdue work.
--
-- Each view reads only rows that are queued, leased or due, through indexes that contain nothing else, or a bounded number of the
-- newest tasks: rows that ended long ago cost nothing. The engine maintains no counters, because all workers would contend for the
-- counter's row. `(SELECT workflow.now())` reads the clock once per query, not once per row.

CREATE VIEW workflow.queue_summary WITH (security_invoker = true) AS
SELECT t.action_ref, count(*) AS ready, min(t.updated) AS oldest, (SELECT workflow.now()) - min(t.updated) AS waited
FROM workflow.workflow_task_execution AS t
WHERE t.queue_at IS NOT NULL
GROUP BY t.action_ref;
COMMENT ON VIEW workflow.queue_summary IS 'Claimable tasks, one row per action. Reads only the queue.';
COMMENT ON COLUMN workflow.queue_summary.action_ref IS 'The action.';
COMMENT ON COLUMN workflow.queue_summary.ready IS 'Number of claimable tasks.';
COMMENT ON COLUMN workflow.queue_summary.oldest IS 'When the first of them became claimable.';
COMMENT ON COLUMN workflow.queue_summary.waited IS 'Time since then.';

CREATE VIEW workflow.claim_detail WITH (security_invoker = true) AS
SELECT t.part, t.id AS task, t.workflow_execution AS execution, t.task_name, t.task_index, t.action_ref, t.attempt, l.worker,
  t.started_at AS claimed, (SELECT workflow.now()) - t.started_at AS age, l.updated AS last_seen, l.until AS lease_until,
  l.until <= (SELECT workflow.now()) AS expired
FROM workflow.lease AS l
  CROSS JOIN LATERAL unnest(l.tasks) AS named (id)
  -- OFFSET forces one lookup per task of a lease: otherwise their number is overestimated, and all tasks are read.
  CROSS JOIN LATERAL (
    SELECT task.* FROM workflow.workflow_task_execution AS task WHERE task.part = l.part AND task.id = named.id OFFSET 0) AS t
WHERE t.status = 'running' AND t.lease = l.token;
COMMENT ON VIEW workflow.claim_detail IS
  'Tasks held by workers, one row per task: the worker, when it claimed the task, and when the lease expires. Reads leases and the tasks they name.';
COMMENT ON COLUMN workflow.claim_detail.part IS 'The task''s part.';
COMMENT ON COLUMN workflow.claim_detail.task IS 'The task.';
COMMENT ON COLUMN workflow.claim_detail.execution IS 'The execution it belongs to.';
COMMENT ON COLUMN workflow.claim_detail.task_name IS 'The task''s name in the definition.';
COMMENT ON COLUMN workflow.claim_detail.task_index IS 'Index of the item, from 0; NULL without with_items.';
COMMENT ON COLUMN workflow.claim_detail.action_ref IS 'The action that the worker executes.';
COMMENT ON COLUMN workflow.claim_detail.attempt IS 'How many times it has been claimed.';
COMMENT ON COLUMN workflow.claim_detail.worker IS 'The worker that holds it.';
COMMENT ON COLUMN workflow.claim_detail.claimed IS 'When it was claimed.';
COMMENT ON COLUMN workflow.claim_detail.age IS 'Time since then.';
COMMENT ON COLUMN workflow.claim_detail.last_seen IS 'When the worker claimed it, or last extended its lease.';
COMMENT ON COLUMN workflow.claim_detail.lease_until IS 'When its lease expires.';
COMMENT ON COLUMN workflow.claim_detail.expired IS
  'Whether the lease has expired: the next claim or tick makes the task available to others.';

CREATE VIEW workflow.worker_summary WITH (security_invoker = true) AS
SELECT l.worker, count(*) AS leases, sum(held.tasks)::bigint AS tasks,
  coalesce(sum(held.tasks) FILTER (WHERE l.until <= (SELECT workflow.now())), 0)::bigint AS expired,
  min(held.claimed) AS claimed, max(l.updated) AS last_seen, min(l.until) FILTER (WHERE held.tasks > 0) AS lease_until
FROM workflow.lease AS l
  CROSS JOIN LATERAL (
    SELECT count(*) AS tasks, min(t.started_at) AS claimed
    FROM unnest(l.tasks) AS named (id)
      JOIN workflow.workflow_task_execution AS t ON t.part = l.part AND t.id = named.id
    WHERE t.status = 'running' AND t.lease = l.token) AS held
GROUP BY l.worker;
COMMENT ON VIEW workflow.worker_summary IS
  'Workers that hold leases, one row per worker; a worker that finds nothing to do writes nothing and does not appear. Reads leases and the tasks they name.';
COMMENT ON COLUMN workflow.worker_summary.worker IS 'The name it claims under.';
COMMENT ON COLUMN workflow.worker_summary.leases IS 'Number of leases it holds.';
COMMENT ON COLUMN workflow.worker_summary.tasks IS 'Number of tasks it holds.';
COMMENT ON COLUMN workflow.worker_summary.expired IS 'Number of these tasks whose lease has expired.';
COMMENT ON COLUMN workflow.worker_summary.claimed IS 'When it claimed the first of them.';
COMMENT ON COLUMN workflow.worker_summary.last_seen IS 'When it last claimed a task or extended a lease.';
COMMENT ON COLUMN workflow.worker_summary.lease_until IS 'When the first of its leases expires.';

-- A function, because in a single plan the many short scans look expensive, and JIT compilation takes a second.
CREATE FUNCTION workflow.recent_tasks(max_rows int)
RETURNS TABLE (action_ref text, status workflow.execution_status, ended boolean, attempt int, duration_ms bigint, since timestamptz, minutes numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
  parts int[] := '{}';
  this int := -1;
  share int;
BEGIN
  LOOP
    this := (SELECT t.part FROM workflow.workflow_task_execution t WHERE t.id >= (this + 1)::bigint << 48 ORDER BY t.id LIMIT 1);
    EXIT WHEN this IS NULL;
    parts := parts || this;
  END LOOP;
  FOREACH this IN ARRAY parts LOOP
    share := greatest(max_rows / cardinality(parts), 100);
    RETURN QUERY
    WITH newest AS MATERIALIZED (
      SELECT t.action_ref, t.status, t.attempt, t.duration_ms, t.created
      FROM workflow.workflow_task_execution t
      WHERE t.id BETWEEN this::bigint << 48 AND ((this + 1)::bigint << 48) - 1 ORDER BY t.id DESC LIMIT share),
    edge AS (
      SELECT greatest(now - interval '1 hour', CASE WHEN count(*) = share THEN min(n.created) END) AS since FROM newest n)
    SELECT n.action_ref, n.status, workflow.is_end(n.status), n.attempt, n.duration_ms, e.since,
      greatest(extract(epoch FROM now - e.since) / 60, 1)
    FROM newest n, edge e WHERE n.created >= e.since;
  END LOOP;
END $$;
COMMENT ON FUNCTION workflow.recent_tasks(int) IS
  'Returns the tasks created in the last hour, at most the newest max_rows, divided among the parts (at least 100 each). Each row also has the time from which on the result is complete for its part, and how many minutes ago that was, at least 1.';
REVOKE ALL ON FUNCTION workflow.recent_tasks(int) FROM PUBLIC;

CREATE VIEW workflow.action_summary WITH (security_invoker = true) AS
SELECT r.action_ref, min(r.since) AS since, count(*) AS tasks,
  count(*) FILTER (WHERE r.ended AND r.status = 'completed') AS completed,
  count(*) FILTER (WHERE r.status IN ('failed', 'timeout', 'abandoned')) AS failed,
  count(*) FILTER (WHERE r.attempt > 1) AS repeated,
  round(coalesce(sum(1 / r.minutes) FILTER (WHERE r.ended), 0), 1) AS ended_per_minute,
  percentile_disc(0.5) WITHIN GROUP (ORDER BY r.duration_ms) FILTER (WHERE r.ended) AS median_ms,
  percentile_disc(0.95) WITHIN GROUP (ORDER BY r.duration_ms) FILTER (WHERE r.ended) AS p95_ms
FROM workflow.recent_tasks(10000) AS r
WHERE r.action_ref IS NOT NULL
GROUP BY r.action_ref;
COMMENT ON VIEW workflow.action_summary IS
  'Outcomes of each action''s recent tasks: those created in the last hour, at most the newest 10000 (divided among the parts, at least 100 each).';
COMMENT ON COLUMN workflow.action_summary.action_ref IS 'The action.';
COMMENT ON COLUMN workflow.action_summary.since IS
  'Start of the period covered: an hour ago, or the creation of the oldest of the newest 10000 tasks.';
COMMENT ON COLUMN workflow.action_summary.tasks IS
  'Number of tasks created in the period; skipped ones are not counted.';
COMMENT ON COLUMN workflow.action_summary.completed IS 'Number of these that completed.';
COMMENT ON COLUMN workflow.action_summary.failed IS 'Number that failed, timed out or were abandoned.';
COMMENT ON COLUMN workflow.action_summary.repeated IS
  'Number that were claimed more than once: after a failure, or because a lease expired.';
COMMENT ON COLUMN workflow.action_summary.ended_per_minute IS 'Number of tasks that ended per minute.';
COMMENT ON COLUMN workflow.action_summary.median_ms IS 'Median duration of those that ended, in milliseconds.';
COMMENT ON COLUMN workflow.action_summary.p95_ms IS '95th percentile of that duration, in milliseconds.';

-- A function with JIT off, because the planner misestimates how much is due.
CREATE FUNCTION workflow.overdue_rows() RETURNS TABLE (kind text, due timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
BEGIN
  RETURN QUERY SELECT 'lease', l.until FROM workflow.lease AS l WHERE l.expires_from <= now AND l.until <= now;
  RETURN QUERY
  SELECT CASE WHEN t.next_retry_at IS NOT NULL THEN 'retry' WHEN t.status = 'running' THEN 'task timeout'
    WHEN t.signal IS NOT NULL AND t.started_at IS NOT NULL THEN 'wait' ELSE 'delay' END, t.due_at
  FROM workflow.workflow_task_execution AS t
  -- Tasks driven from outside stay due until their owner handles them. OFFSET: as above.
    CROSS JOIN LATERAL (
      SELECT w.version FROM workflow.workflow_execution AS w WHERE w.part = t.part AND w.id = t.workflow_execution OFFSET 0) AS w
  WHERE t.due_at <= now AND w.version IS NOT NULL;
  RETURN QUERY SELECT 'workflow', w.due_at FROM workflow.workflow_execution AS w WHERE w.due_at <= now AND w.version IS NOT NULL;
  RETURN QUERY SELECT 'schedule', s.next_at FROM workflow.schedule AS s WHERE s.next_at <= now;
  RETURN QUERY SELECT 'retention', r.next_at FROM workflow.retention AS r WHERE r.next_at <= now;
  -- Every tick processes pending reports. One that has waited for less than a second may not have seen a tick yet.
  RETURN QUERY SELECT 'pending report', p.created + interval '1 second' FROM workflow.pending_report AS p
    WHERE p.created <= now - interval '1 second';
  -- Every tick performs a step of the job whose last step was longest ago.
  RETURN QUERY SELECT 'bulk_job', j.updated + interval '1 second' FROM workflow.bulk_job AS j
    WHERE j.status = 'running' AND j.updated <= now - interval '1 second';
END $$;
COMMENT ON FUNCTION workflow.overdue_rows() IS
  'Returns work that is due and has not been processed yet: its kind, and when it became due.';
REVOKE ALL ON FUNCTION workflow.overdue_rows() FROM PUBLIC;

CREATE VIEW workflow.overdue_summary WITH (security_invoker = true) AS
SELECT o.kind, count(*) AS rows, min(o.due) AS oldest, (SELECT workflow.now()) - min(o.due) AS late
FROM workflow.overdue_rows() AS o
GROUP BY o.kind;
COMMENT ON VIEW workflow.overdue_summary IS
  'Work that is due and that no workflow_tick has processed yet, one row per kind. If anything is more than a moment late, nobody is calling workflow_tick. Reads only rows that have a due time.';
COMMENT ON COLUMN workflow.overdue_summary.kind IS
  'lease, retry, delay, wait (for a signal), task timeout; workflow: its timeout, or a notification to its caller or to executions it called; schedule: a start; pending report: a completed task that its execution has yet to process, from a second after it was reported; retention: executions of a workflow that may be old enough to delete; bulk_job: the next step of a bulk job, from a second after its last one.';
COMMENT ON COLUMN workflow.overdue_summary.rows IS 'Number of rows that are due.';
COMMENT ON COLUMN workflow.overdue_summary.oldest IS 'When the first of them became due.';
COMMENT ON COLUMN workflow.overdue_summary.late IS 'Time since then.';
