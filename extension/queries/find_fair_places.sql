-- Finds the queue places of those of the executions ($1) that share the queue by a key: the hash that represents the
-- key in the rows of tasks, its weight, and its last place in the queue.
SELECT w.id, h.hash, coalesce(f.weight, 1), (
  SELECT pg_catalog.max(t.queue_at) FROM workflow.workflow_task_execution t
  WHERE t.part = w.part AND t.fair_key = h.hash AND t.queue_at IS NOT NULL)
FROM pg_catalog.unnest($1::bigint[]) AS o(id)
JOIN workflow.workflow_execution w ON w.part = (o.id >> 48)::int AND w.id = o.id AND w.fair_key IS NOT NULL
JOIN workflow.workflow_definition d ON d.id = w.workflow_def
CROSS JOIN LATERAL workflow.fair_hash(d.ref, w.fair_key) AS h(hash)
LEFT JOIN workflow.fair_weight f ON f.workflow_ref = d.ref AND f.key = w.fair_key
