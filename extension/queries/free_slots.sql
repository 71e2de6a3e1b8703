-- Frees the slots of tasks that are no longer running, and of executions (as negative numbers). Returns the keys for
-- which others wait, each with how many of them may start, whether they are executions, and whether that depends on more than
-- the freed slots: on a rate, or on the maximum, because it was lowered.
WITH freed AS (
  UPDATE workflow.limit_slot s SET task = NULL
  WHERE s.task = ANY ($1)
    AND NOT EXISTS (SELECT FROM workflow.workflow_task_execution t WHERE t.part = (s.task >> 48)::int AND t.id = s.task AND t.status = 'running')
  RETURNING s.key)
SELECT k.id, pg_catalog.count(*), k.limit_name ~~ '@%', r.rate IS NOT NULL OR k.slots > r.max_running
FROM freed
JOIN workflow.limit_key k ON k.id = freed.key AND k.check_at IS NOT NULL
JOIN workflow.limit_rule r ON r.name = k.limit_name AND r.max_running IS NOT NULL
WHERE NOT EXISTS (
  SELECT FROM workflow.hold h WHERE h.target = 'limit' AND h.name = k.limit_name AND h.key IN ('', k.key) AND h.until > $2)
GROUP BY k.id, k.limit_name, k.slots, r.rate, r.max_running
