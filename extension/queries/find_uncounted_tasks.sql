-- Finds up to $2 running tasks that are under limits ($1) but have no slots of these, and locks them unless someone
-- else has: whoever is reporting one would not free the slot that it is given. Returns one row per limit.
WITH uncounted AS MATERIALIZED (
  SELECT t.id, t.limits FROM workflow.workflow_task_execution t
  WHERE t.status = 'running' AND t.limits IS NOT NULL
    AND EXISTS (
      SELECT FROM pg_catalog.jsonb_array_elements(t.limits) AS o(pair)
      WHERE o.pair ->> 0 = ANY ($1)
        AND NOT EXISTS (SELECT FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
                        WHERE s.task = t.id AND k.limit_name = o.pair ->> 0 AND k.key = o.pair ->> 1))
  LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
SELECT u.id, o.pair ->> 0, o.pair ->> 1
FROM uncounted u
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(u.limits) AS o(pair)
WHERE o.pair ->> 0 = ANY ($1)
  AND NOT EXISTS (SELECT FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
                  WHERE s.task = u.id AND k.limit_name = o.pair ->> 0 AND k.key = o.pair ->> 1)
ORDER BY u.id
