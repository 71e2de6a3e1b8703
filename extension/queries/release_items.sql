-- Releases the next held items of a task, lowest index first. Returns those that the engine has to process, and one
-- of those that it has queued for each action, with the action.
WITH released AS (
  UPDATE workflow.workflow_task_execution t
  SET status = 'scheduled', held = false, updated = $7,
      queue_at = CASE WHEN t.action_ref IS NOT NULL AND NOT t.calls AND NOT d.paused THEN $7 - t.priority * interval '1 minute' END
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[]), pg_catalog.unnest($4::int[]), pg_catalog.unnest($5::int[]), pg_catalog.unnest($6::bool[]))
         AS d(workflow_execution, task_name, route, visit, count, paused)
  CROSS JOIN LATERAL (
    SELECT n.part, n.id FROM workflow.workflow_task_execution n
    WHERE n.held AND n.part = (d.workflow_execution >> 48)::int AND n.workflow_execution = d.workflow_execution
      AND n.task_name = d.task_name AND n.route = d.route AND n.visit = d.visit
    ORDER BY n.task_index LIMIT d.count) AS next
  WHERE t.part = next.part AND t.id = next.id
  RETURNING t.id, t.calls OR t.action_ref IS NULL AS own, CASE WHEN t.queue_at IS NOT NULL THEN t.action_ref END AS queued)
SELECT r.id, NULL FROM released AS r WHERE r.own
UNION ALL
SELECT pg_catalog.min(r.id), r.queued FROM released AS r WHERE r.queued IS NOT NULL GROUP BY r.id >> 48, r.queued
