-- Like claim, but for several actions ($2), longest waiting first across all of them. First counts, without locking,
-- how many of the first $3 tasks belong to each action, then locks that many of each, so no more are locked than
-- claimed. The count includes tasks that must not start and tasks that are claimed alone. This is rare; a caller that
-- gets fewer tasks because of it takes these out of the queue and claims each action again.
WITH share AS MATERIALIZED (
  SELECT f.ref, pg_catalog.count(*) AS wanted FROM (
    SELECT a.ref
    FROM pg_catalog.unnest($2::text[]) AS a(ref)
    CROSS JOIN LATERAL (
      SELECT t.queue_at, t.id FROM workflow.workflow_task_execution t
      WHERE t.part = $1 AND t.action_ref = a.ref AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($6, $7)
        AND NOT workflow.is_in_progress_elsewhere(t.xmax)
      ORDER BY t.queue_at, t.id LIMIT $3) AS c
    ORDER BY c.queue_at, c.id LIMIT $3) AS f
  GROUP BY f.ref),
candidate AS MATERIALIZED (
  SELECT c.ctid AS place, c.id, c.alone
  FROM share s
  CROSS JOIN LATERAL (
    SELECT t.ctid, t.queue_at, t.id, t.lost_leases > 1 AS alone
    FROM workflow.workflow_task_execution t
    WHERE t.part = $1 AND t.action_ref = s.ref AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($6, $7)
      AND NOT workflow.is_in_progress_elsewhere(t.xmax) AND (
        SELECT NOT workflow.blocks_claim(w.status, w.paused, t.closing, t.undo) FROM workflow.workflow_execution w
        WHERE w.part = t.part AND w.id = t.workflow_execution)
      AND ($8 OR t.lost_leases < 2)
    ORDER BY t.queue_at, t.id LIMIT s.wanted
    FOR NO KEY UPDATE OF t SKIP LOCKED) AS c
  ORDER BY c.queue_at, c.id),
first_one AS MATERIALIZED (SELECT c.place, c.alone FROM candidate c LIMIT 1),
chosen AS MATERIALIZED (
  SELECT c.place, c.id FROM candidate c CROSS JOIN first_one f WHERE CASE WHEN f.alone THEN c.place = f.place ELSE NOT c.alone END)
UPDATE workflow.workflow_task_execution t
SET status = 'running', lease = CASE WHEN t.lost_leases = 0 THEN $4 ELSE workflow.draw_token() END, attempt = t.attempt + 1,
    queue_at = NULL, started_at = $5, updated = $5,
    due_at = CASE WHEN t.timeout_seconds IS NOT NULL THEN $5 + t.timeout_seconds * interval '1 second' END
FROM ROWS FROM (pg_catalog.unnest(ARRAY(SELECT c.place FROM chosen c)), pg_catalog.unnest(ARRAY(SELECT c.id FROM chosen c))) AS first(place, id)
WHERE t.ctid = first.place AND t.part IS NOT DISTINCT FROM $1 AND t.id IS NOT DISTINCT FROM first.id
RETURNING t.id, t.lease, t.workflow_execution, t.task_name, t.task_index, t.action_ref, t.input, t.attempt, t.due_at, t.error, t.progress, t.lost_leases > 1, t.repeat_count IS NULL, t.limits, t.traceparent,
  CASE WHEN t.traceparent IS NOT NULL THEN (
    SELECT e.action_ref FROM workflow.execution e WHERE e.part = t.part AND e.id = t.workflow_execution) END
