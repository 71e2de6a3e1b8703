-- Requests a check of the keys of the limits of tasks ($1) that have left the queue without starting, if something else waits for
-- them: slots may have been freed for these tasks, and those behind them can have them now. Adds no request where there is one that
-- nobody is meeting right now.
WITH behind AS MATERIALIZED (
  SELECT DISTINCT k.limit_name, k.key
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
  CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(t.limits) AS l(entry)
  JOIN workflow.limit_key k ON k.limit_name = l.entry ->> 0 AND k.key = l.entry ->> 1
  WHERE k.check_at IS NOT NULL),
known AS MATERIALIZED (
  SELECT w.limit_name, w.key FROM workflow.limit_wakeup w
  WHERE NOT w.recount AND (w.limit_name, w.key) IN (SELECT b.limit_name, b.key FROM behind b)
  FOR KEY SHARE SKIP LOCKED)
INSERT INTO workflow.limit_wakeup (limit_name, key)
SELECT b.limit_name, b.key FROM behind b
WHERE NOT EXISTS (SELECT FROM known k WHERE k.limit_name = b.limit_name AND k.key = b.key)
