-- Views for a monitoring system that polls every few seconds: their cost is bounded even with millions of queued tasks.

CREATE VIEW workflow.queue_depth WITH (security_invoker = true) AS
WITH RECURSIVE queue AS (
  (SELECT t.part, t.action_ref FROM workflow.workflow_task_execution AS t
   WHERE t.queue_at IS NOT NULL ORDER BY t.part, t.action_ref LIMIT 1)
  UNION ALL
  SELECT n.part, n.action_ref
  FROM queue AS q
  CROSS JOIN LATERAL (
    SELECT t.part, t.action_ref FROM workflow.workflow_task_execution AS t
    WHERE t.queue_at IS NOT NULL AND (t.part, t.action_ref) > (q.part, q.action_ref) ORDER BY t.part, t.action_ref LIMIT 1) AS n)
SELECT q.action_ref, sum(first.tasks)::bigint AS tasks, min(first.oldest) AS oldest, (SELECT workflow.now()) - min(first.oldest) AS waited
FROM queue AS q
CROSS JOIN LATERAL (
  SELECT count(*) AS tasks, min(f.updated) AS oldest
  FROM (
    SELECT t.updated FROM workflow.workflow_task_execution AS t
    WHERE t.queue_at IS NOT NULL AND t.part = q.part AND t.action_ref = q.action_ref
    ORDER BY t.queue_at, t.id LIMIT 1000) AS f) AS first
GROUP BY q.action_ref;
COMMENT ON VIEW workflow.queue_depth IS
  'Claimable tasks, one row per action, counted up to 1000 per action and part. Reads no more than these, however long the queue is.';
COMMENT ON COLUMN workflow.queue_depth.action_ref IS 'The action.';
COMMENT ON COLUMN workflow.queue_depth.tasks IS 'Number of claimable tasks, counted up to 1000 per part.';
COMMENT ON COLUMN workflow.queue_depth.oldest IS 'When the first of those counted became claimable.';
COMMENT ON COLUMN workflow.queue_depth.waited IS 'Time since then.';

-- A function, because in a single plan the counts of all limits look so expensive that JIT compilation takes a second.
CREATE FUNCTION workflow.count_limited(name text, OUT running bigint, OUT waiting bigint, OUT waiting_since timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
  running := (SELECT count(*) FROM (
    SELECT FROM workflow.limit_key AS k JOIN workflow.limit_slot AS s ON s.key = k.id
    WHERE k.limit_name = name AND s.task IS NOT NULL LIMIT 10000) AS taken);
  waiting := (SELECT count(*) FROM (
    SELECT FROM workflow.limit_key AS k JOIN workflow.workflow_task_execution AS t ON t.limit_key = k.id
    WHERE k.limit_name = name AND k.check_at IS NOT NULL LIMIT 10000) AS late);
  waiting_since := (SELECT min(k.waiting_since) FROM workflow.limit_key AS k WHERE k.limit_name = name AND k.check_at IS NOT NULL);
END $$;
COMMENT ON FUNCTION workflow.count_limited(text) IS
  'Returns how many tasks run under a limit and how many wait for it, over all its keys, each counted up to 10000, and the start of the period in which tasks have been waiting for one of its keys without a break.';
REVOKE ALL ON FUNCTION workflow.count_limited(text) FROM PUBLIC;

CREATE VIEW workflow.limit_summary WITH (security_invoker = true) AS
SELECT r.name AS limit_name, r.max_running, c.running, c.waiting, c.waiting_since
FROM workflow.limit_rule AS r CROSS JOIN LATERAL workflow.count_limited(r.name) AS c;
COMMENT ON VIEW workflow.limit_summary IS
  'Limits, one row each, over all their keys. Reads at most 10000 running and 10000 waiting tasks per limit.';
COMMENT ON COLUMN workflow.limit_summary.limit_name IS 'The limit.';
COMMENT ON COLUMN workflow.limit_summary.max_running IS 'Maximum number of tasks per key that may run at once; NULL: no maximum.';
COMMENT ON COLUMN workflow.limit_summary.running IS
  'Number of tasks running under it, counted up to 10000; 0 if the limit only has a rate.';
COMMENT ON COLUMN workflow.limit_summary.waiting IS 'Number of tasks waiting for it, counted up to 10000.';
COMMENT ON COLUMN workflow.limit_summary.waiting_since IS
  'Start of the period in which tasks have been waiting for one of its keys without a break; NULL: none is waiting.';
