-- Finds up to 1000 queued tasks that must not start, of the actions $4: in each part ($1), from a queue position ($2, $3) on.
-- The execution is looked up in an expression: in a join, it could come first while there are few of them.
SELECT stray.id
FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::timestamptz[]), pg_catalog.unnest($3::bigint[])) AS d(part, queue_at, id)
CROSS JOIN pg_catalog.unnest($4::text[]) AS a(ref)
CROSS JOIN LATERAL (
  SELECT t.id FROM workflow.workflow_task_execution t
  WHERE t.part = d.part AND t.action_ref = a.ref AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= (d.queue_at, d.id)
    AND NOT workflow.is_in_progress_elsewhere(t.xmax) AND (
      SELECT workflow.blocks_claim(w.status, w.paused, t.closing, t.undo) FROM workflow.workflow_execution w
      WHERE w.part = t.part AND w.id = t.workflow_execution)
  LIMIT 1000) AS stray
LIMIT 1000
