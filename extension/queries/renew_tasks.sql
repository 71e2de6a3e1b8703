-- Resets the rows of a task for a rerun: all of its items, or those that did not succeed, with a limited number of them
-- claimable at first. If a call keeps its child, the child continues. Returns the tasks that the engine has to process,
-- and one of those that it has queued for each action, with the action.
WITH renewed AS (
  UPDATE workflow.workflow_task_execution t
  SET status = CASE WHEN next.turn > d.released THEN 'requested' ELSE 'scheduled' END::workflow.execution_status,
      held = next.turn > d.released, waits = false,
      queue_at = CASE WHEN next.turn <= d.released AND NOT d.paused AND t.action_ref IS NOT NULL AND NOT t.calls
                      THEN $7 - t.priority * interval '1 minute' END,
      due_at = NULL, next_retry_at = NULL, retry_count = 0, repeat_count = t.repeat_count * 0, lost_leases = 0, lease = NULL,
      execution = CASE WHEN d.keeps_child THEN t.execution END,
      timed_out = false, result = NULL, completed_at = NULL, duration_ms = NULL, started_at = NULL, updated = $7,
      undo = t.undo - '{action,input,timeout,retries,error,unknown}'::text[], undo_number = NULL
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[]), pg_catalog.unnest($4::int[]), pg_catalog.unnest($5::int[]), pg_catalog.unnest($6::bool[]), pg_catalog.unnest($8::bool[]), pg_catalog.unnest($9::int[]), pg_catalog.unnest($10::bool[]))
         AS d(workflow_execution, task_name, route, visit, released, everything, paused, first, keeps_child)
  CROSS JOIN LATERAL (
    SELECT n.part, n.id, pg_catalog.row_number() OVER (ORDER BY n.task_index IS DISTINCT FROM d.first, n.task_index) AS turn
    FROM workflow.workflow_task_execution n
    WHERE n.part = (d.workflow_execution >> 48)::int AND n.workflow_execution = d.workflow_execution
      AND n.task_name = d.task_name AND n.route = d.route AND n.visit = d.visit
      AND (d.everything OR n.status <> 'completed')) AS next
  WHERE t.part = next.part AND t.id = next.id
  RETURNING t.id, t.status = 'scheduled' AND (t.calls OR t.action_ref IS NULL) AS own, CASE WHEN t.queue_at IS NOT NULL THEN t.action_ref END AS queued)
SELECT r.id, NULL FROM renewed AS r WHERE r.own
UNION ALL
SELECT pg_catalog.min(r.id), r.queued FROM renewed AS r WHERE r.queued IS NOT NULL GROUP BY r.id >> 48, r.queued
