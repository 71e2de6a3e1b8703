-- What operators watch: queues, claims, workers, actions, and what is overdue.
--
-- Each view reads what is queued, leased or due, through indexes that hold nothing else, or a bounded number of the newest
-- tasks: what has ended long ago costs nothing. Nothing is counted at the time of the work, which would make all workers
-- wait for the counter's row. `(SELECT workflow.now())` asks the clock once for a query, not once a row.

CREATE VIEW workflow.queue_summary WITH (security_invoker = true) AS
SELECT t.action_ref, count(*) AS ready, min(t.updated) AS oldest, (SELECT workflow.now()) - min(t.updated) AS waited
FROM workflow.workflow_task_execution AS t
WHERE t.queue_at IS NOT NULL
GROUP BY t.action_ref;
COMMENT ON VIEW workflow.queue_summary IS 'What can be claimed, an action a row. Reads the queue and nothing else.';
COMMENT ON COLUMN workflow.queue_summary.action_ref IS 'The action.';
COMMENT ON COLUMN workflow.queue_summary.ready IS 'How many tasks can be claimed.';
COMMENT ON COLUMN workflow.queue_summary.oldest IS 'Since when the first of them can be.';
COMMENT ON COLUMN workflow.queue_summary.waited IS 'How long that is.';

CREATE VIEW workflow.claim_detail WITH (security_invoker = true) AS
SELECT t.part, t.id AS task, t.workflow_execution, t.task_name, t.task_index, t.action_ref, t.attempt, l.worker,
  t.started_at AS claimed, (SELECT workflow.now()) - t.started_at AS age, l.updated AS last_seen, l.until AS lease_until,
  l.until <= (SELECT workflow.now()) AS expired
FROM workflow.lease AS l
  CROSS JOIN LATERAL unnest(l.tasks) AS named (id)
  -- OFFSET keeps it a look-up for each task that a lease names: their number is guessed too high otherwise, and all tasks read.
  CROSS JOIN LATERAL (
    SELECT task.* FROM workflow.workflow_task_execution AS task WHERE task.part = l.part AND task.id = named.id OFFSET 0) AS t
WHERE t.status = 'running' AND t.lease = l.token;
COMMENT ON VIEW workflow.claim_detail IS
  'Tasks that workers hold, a row each: who, since when, and until when without another word. Reads leases and the tasks they name.';
COMMENT ON COLUMN workflow.claim_detail.part IS 'Its part.';
COMMENT ON COLUMN workflow.claim_detail.task IS 'The task.';
COMMENT ON COLUMN workflow.claim_detail.workflow_execution IS 'The workflow execution it belongs to.';
COMMENT ON COLUMN workflow.claim_detail.task_name IS 'The task''s name in the definition.';
COMMENT ON COLUMN workflow.claim_detail.task_index IS 'Which item, from 0; NULL without with_items.';
COMMENT ON COLUMN workflow.claim_detail.action_ref IS 'What the worker does.';
COMMENT ON COLUMN workflow.claim_detail.attempt IS 'How often it was claimed.';
COMMENT ON COLUMN workflow.claim_detail.worker IS 'Who holds it.';
COMMENT ON COLUMN workflow.claim_detail.claimed IS 'Since when.';
COMMENT ON COLUMN workflow.claim_detail.age IS 'How long that is.';
COMMENT ON COLUMN workflow.claim_detail.last_seen IS 'When the worker claimed it, or last prolonged its lease.';
COMMENT ON COLUMN workflow.claim_detail.lease_until IS 'When its lease ends.';
COMMENT ON COLUMN workflow.claim_detail.expired IS 'The lease has ended: the next claim or tick gives the task to others.';

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
  'Workers that hold leases, a row each; one that finds nothing to do writes nothing, and is not seen. Reads leases and the tasks they name.';
COMMENT ON COLUMN workflow.worker_summary.worker IS 'The name it claims by.';
COMMENT ON COLUMN workflow.worker_summary.leases IS 'Its leases.';
COMMENT ON COLUMN workflow.worker_summary.tasks IS 'The tasks it holds.';
COMMENT ON COLUMN workflow.worker_summary.expired IS 'Of these, those whose lease has ended.';
COMMENT ON COLUMN workflow.worker_summary.claimed IS 'When it claimed the first of them.';
COMMENT ON COLUMN workflow.worker_summary.last_seen IS 'When it last claimed or prolonged a lease.';
COMMENT ON COLUMN workflow.worker_summary.lease_until IS 'When the first of its leases ends.';

-- A function, because a plan of the whole takes its many short scans for long ones, and compiles them for a second.
CREATE FUNCTION workflow.recent_tasks(max_rows int)
RETURNS TABLE (action_ref text, status workflow.execution_status, ended boolean, attempt int, duration_ms bigint, since timestamptz, minutes numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
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
  'The tasks made in the last hour, and of these the newest max_rows, shared among the parts (at least 100 each); with each, since when that is complete in its part, and how many minutes ago that was, at least 1.';
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
  'How the newest tasks of each action went: those made in the last hour, and of these the newest 10000 (shared among the parts, at least 100 each).';
COMMENT ON COLUMN workflow.action_summary.action_ref IS 'The action.';
COMMENT ON COLUMN workflow.action_summary.since IS 'Made since then: the last hour, or what the newest 10000 tasks go back to.';
COMMENT ON COLUMN workflow.action_summary.tasks IS 'How many tasks were made; skipped ones are not counted.';
COMMENT ON COLUMN workflow.action_summary.completed IS 'Of these, ended well.';
COMMENT ON COLUMN workflow.action_summary.failed IS 'Failed, timed out or abandoned.';
COMMENT ON COLUMN workflow.action_summary.repeated IS 'Claimed more than once: after a failure, or because a lease ended.';
COMMENT ON COLUMN workflow.action_summary.ended_per_minute IS 'How many ended a minute.';
COMMENT ON COLUMN workflow.action_summary.median_ms IS 'How long half of those that ended ran at most, in milliseconds.';
COMMENT ON COLUMN workflow.action_summary.p95_ms IS 'How long 95 of 100 did.';

CREATE VIEW workflow.overdue_summary WITH (security_invoker = true) AS
SELECT o.kind, count(*) AS rows, min(o.due) AS oldest, (SELECT workflow.now()) - min(o.due) AS late
FROM (
  SELECT 'lease' AS kind, l.until AS due FROM workflow.lease AS l WHERE l.until <= (SELECT workflow.now())
  UNION ALL
  SELECT CASE WHEN t.next_retry_at IS NOT NULL THEN 'retry' WHEN t.status = 'running' THEN 'task timeout'
    WHEN t.signal IS NOT NULL AND t.started_at IS NOT NULL THEN 'wait' ELSE 'delay' END, t.due_at
  FROM workflow.workflow_task_execution AS t
  -- What is driven from outside stays due until its master sees to it. OFFSET: as above.
    CROSS JOIN LATERAL (
      SELECT w.version FROM workflow.workflow_execution AS w WHERE w.part = t.part AND w.id = t.workflow_execution OFFSET 0) AS w
  WHERE t.due_at <= (SELECT workflow.now()) AND w.version IS NOT NULL
  UNION ALL
  SELECT 'workflow', w.due_at FROM workflow.workflow_execution AS w WHERE w.due_at <= (SELECT workflow.now()) AND w.version IS NOT NULL
  UNION ALL
  SELECT 'schedule', s.next_at FROM workflow.schedule AS s WHERE s.next_at <= (SELECT workflow.now())
) AS o
GROUP BY o.kind;
COMMENT ON VIEW workflow.overdue_summary IS
  'What time has made due and no workflow_tick has done yet, a kind a row. Where something is late by more than moments, nobody ticks. Reads what has a time to be done at.';
COMMENT ON COLUMN workflow.overdue_summary.kind IS 'lease, retry, delay, wait (for a signal), task timeout; workflow: its timeout, or what one that calls or is called is to hear; schedule: a start.';
COMMENT ON COLUMN workflow.overdue_summary.rows IS 'How many are due.';
COMMENT ON COLUMN workflow.overdue_summary.oldest IS 'Since when the first of them is.';
COMMENT ON COLUMN workflow.overdue_summary.late IS 'How long that is.';
