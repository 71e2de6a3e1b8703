-- Makes queued tasks of a part ($1) wait for keys of limits ($4, $5; their ids: $6), which are locked: those under
-- these limits among the next 1000 of each action ($2), starting at a place in the queue ($7, $8). $3: now. Skips tasks
-- that others have locked.
WITH next AS MATERIALIZED (
  SELECT n.part, n.id, n.limits
  FROM pg_catalog.unnest($2::text[]) AS a(ref)
  CROSS JOIN LATERAL (
    SELECT t.part, t.id, t.limits FROM workflow.workflow_task_execution t
    WHERE t.part = $1 AND t.action_ref = a.ref AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($7, $8)
    ORDER BY t.queue_at, t.id LIMIT 1000) AS n),
full_ones AS MATERIALIZED (
  SELECT DISTINCT ON (n.id) n.part, n.id, d.key
  FROM next n
  JOIN ROWS FROM (pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[]), pg_catalog.unnest($6::bigint[])) AS d(name, text, key)
    ON n.limits @> pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_array(d.name, d.text))
  ORDER BY n.id),
locked AS MATERIALIZED (
  SELECT t.part, t.id, f.key
  FROM full_ones f
  CROSS JOIN LATERAL (
    SELECT o.part, o.id FROM workflow.workflow_task_execution o
    WHERE o.part = f.part AND o.id = f.id AND o.queue_at IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED) AS t)
UPDATE workflow.workflow_task_execution t SET queue_at = NULL, limit_key = locked.key, updated = $3
FROM locked WHERE t.part = locked.part AND t.id = locked.id
