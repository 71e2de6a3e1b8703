-- Claims up to $3 tasks of these actions ($2) of a part, from this place ($6, $7) on: what waited longest first, across the actions.
-- What others have locked is skipped, and so is what must not begin. No more rows are locked than are claimed: if there are
-- several actions, a first look without locks counts how many of the first $3 tasks each has. What is chosen passes through an
-- array, which the planner takes for a short one: for a long queue it would expect many rows to be claimed, and read all tasks.
WITH share AS MATERIALIZED (
  SELECT ($2::text[])[1] AS ref, $3::bigint AS wanted WHERE pg_catalog.cardinality($2::text[]) = 1
  UNION ALL
  SELECT f.ref, pg_catalog.count(*) FROM (
    SELECT a.ref
    FROM pg_catalog.unnest($2::text[]) AS a(ref)
    CROSS JOIN LATERAL (
      SELECT t.queue_at, t.id
      FROM workflow.workflow_task_execution t
      JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
      WHERE t.part = $1 AND t.action_ref = a.ref AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($6, $7)
        AND NOT workflow.goes_on_elsewhere(t.xmax) AND NOT workflow.keeps_out(w.status, w.paused, w.state)
      ORDER BY t.queue_at, t.id LIMIT $3) AS c
    WHERE pg_catalog.cardinality($2::text[]) > 1
    ORDER BY c.queue_at, c.id LIMIT $3) AS f
  GROUP BY f.ref),
candidate AS MATERIALIZED (
  SELECT c.queue_at, c.id
  FROM share s
  CROSS JOIN LATERAL (
    SELECT t.queue_at, t.id
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE t.part = $1 AND t.action_ref = s.ref AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($6, $7)
      AND NOT workflow.goes_on_elsewhere(t.xmax) AND NOT workflow.keeps_out(w.status, w.paused, w.state)
    ORDER BY t.queue_at, t.id LIMIT s.wanted
    FOR NO KEY UPDATE OF t SKIP LOCKED) AS c)
UPDATE workflow.workflow_task_execution t
SET status = 'running', lease = $4, attempt = t.attempt + 1,
    queue_at = NULL, started_at = $5, updated = $5,
    due_at = CASE WHEN t.timeout_seconds IS NOT NULL THEN $5 + t.timeout_seconds * interval '1 second' END
FROM pg_catalog.unnest(ARRAY(SELECT c.id FROM candidate c ORDER BY c.queue_at, c.id)) AS first(id)
WHERE t.part = $1 AND t.id = first.id
RETURNING t.id, t.lease, t.workflow_execution, t.task_name, t.task_index, t.action_ref, t.input, t.attempt
