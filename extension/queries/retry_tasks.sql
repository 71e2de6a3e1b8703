-- Makes reported rows run again, as a retry or as a repetition: immediately, or after their delay. A retry is counted
-- when it is dispatched. A repetition may have a different input ($10). Nobody knows whether a task that timed out or
-- was abandoned has been done ($9): a task with an undo has to find out, even if its execution stops. Returns the tasks
-- that the engine has to process, and one of those that it has queued for each action, with the action.
WITH retried AS (
  UPDATE workflow.workflow_task_execution t
  SET status = CASE WHEN d.delay > 0 THEN 'requested' ELSE 'scheduled' END::workflow.execution_status,
      retry_count = t.retry_count + CASE WHEN d.delay > 0 OR d.repeats THEN 0 ELSE 1 END,
      repeat_count = CASE WHEN d.repeats THEN t.repeat_count + 1 ELSE t.repeat_count END,
      next_retry_at = CASE WHEN d.delay > 0 AND NOT d.repeats THEN $6 + d.delay * interval '1 second' END,
      due_at = CASE WHEN d.delay > 0 THEN $6 + d.delay * interval '1 second' END,
      queue_at = CASE WHEN d.delay <= 0 AND NOT d.paused AND t.action_ref IS NOT NULL AND NOT t.calls
                      THEN $6 - t.priority * interval '1 minute' END,
      waits = false, execution = NULL, timed_out = false, result = d.result, error = d.error, input = coalesce(d.input, t.input), progress = coalesce(d.progress, t.progress), completed_at = NULL, duration_ms = NULL, updated = $6,
      undo = CASE WHEN d.unknown THEN t.undo || '{"unknown": true}' ELSE t.undo - 'unknown' END
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::float8[]), pg_catalog.unnest($3::bool[]), pg_catalog.unnest($4::jsonb[]), pg_catalog.unnest($5::jsonb[]), pg_catalog.unnest($7::jsonb[]), pg_catalog.unnest($8::bool[]), pg_catalog.unnest($9::bool[]), pg_catalog.unnest($10::jsonb[])) AS d(id, delay, paused, result, error, progress, repeats, unknown, input)
  WHERE t.part = (d.id >> 48)::int AND t.id = d.id
  RETURNING t.id, t.status = 'scheduled' AND (t.calls OR t.action_ref IS NULL) AS own, CASE WHEN t.queue_at IS NOT NULL THEN t.action_ref END AS queued)
SELECT r.id, NULL FROM retried AS r WHERE r.own
UNION ALL
SELECT pg_catalog.min(r.id), r.queued FROM retried AS r WHERE r.queued IS NOT NULL GROUP BY r.id >> 48, r.queued
