-- Resets rows of a task to run again: all of its items, or those that did not succeed, a limited number of them claimable at first;
-- if a call keeps its child, the child continues. Returns those that the engine has to process.
WITH renewed AS (
  UPDATE workflow.workflow_task_execution t
  SET status = CASE WHEN next.turn > d.released OR d.delay > 0 THEN 'requested' ELSE 'scheduled' END::workflow.execution_status,
      held = next.turn > d.released,
      queue_at = CASE WHEN next.turn <= d.released AND d.delay <= 0 AND NOT d.paused AND t.action_ref IS NOT NULL AND NOT t.calls
                      THEN $10 - t.priority * interval '1 minute' END,
      due_at = CASE WHEN next.turn <= d.released AND d.delay > 0 THEN $10 + d.delay * interval '1 second' END,
      next_retry_at = CASE WHEN d.is_retry AND next.turn <= d.released AND d.delay > 0
                           THEN $10 + d.delay * interval '1 second' END,
      retry_count = CASE WHEN d.is_retry THEN t.retry_count + CASE WHEN d.delay > 0 THEN 0 ELSE 1 END ELSE 0 END,
      lease = CASE WHEN d.is_retry THEN t.lease END, execution = CASE WHEN d.keeps_child THEN t.execution END,
      attempt = CASE WHEN d.is_retry THEN t.attempt ELSE 0 END,
      lost_leases = CASE WHEN d.is_retry THEN t.lost_leases ELSE 0 END, timed_out = false, result = NULL, error = NULL, completed_at = NULL, duration_ms = NULL, started_at = NULL,
      updated = $10
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::int[]), pg_catalog.unnest($4::int[]), pg_catalog.unnest($5::int[]), pg_catalog.unnest($6::float8[]), pg_catalog.unnest($7::bool[]), pg_catalog.unnest($8::bool[]), pg_catalog.unnest($9::bool[]), pg_catalog.unnest($11::int[]), pg_catalog.unnest($12::bool[]))
         AS d(workflow_execution, task_name, route, visit, released, delay, is_retry, everything, paused, first, keeps_child)
  CROSS JOIN LATERAL (
    SELECT n.part, n.id, pg_catalog.row_number() OVER (ORDER BY n.task_index IS DISTINCT FROM d.first, n.task_index) AS turn
    FROM workflow.workflow_task_execution n
    WHERE n.part = (d.workflow_execution >> 48)::int AND n.workflow_execution = d.workflow_execution
      AND n.task_name = d.task_name AND n.route = d.route AND n.visit = d.visit
      AND (d.everything OR n.status <> 'completed')) AS next
  WHERE t.part = next.part AND t.id = next.id
  RETURNING t.id, t.status = 'scheduled' AND (t.calls OR t.action_ref IS NULL) AS own)
SELECT renewed.id FROM renewed WHERE renewed.own
