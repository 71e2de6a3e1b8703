-- Records that tasks have started to wait for their signals. While their execution is paused, their clocks do not run.
-- A task with a heartbeat is due when that elapses; the remainder of its timeout at that time is stored.
UPDATE workflow.workflow_task_execution t
SET waits = true, attempt = t.attempt + 1, started_at = $2, updated = $2,
    due_at = CASE WHEN NOT w.paused THEN $2 + least(t.timeout_seconds, t.heartbeat_seconds) * interval '1 second' END,
    due_in = CASE WHEN w.paused THEN least(t.timeout_seconds, t.heartbeat_seconds) * interval '1 second' END,
    due_after = CASE WHEN t.heartbeat_seconds IS NOT NULL
                     THEN (t.timeout_seconds - least(t.timeout_seconds, t.heartbeat_seconds)) * interval '1 second' END
FROM pg_catalog.unnest($1::bigint[]) AS d(id), workflow.workflow_execution w
WHERE t.part = (d.id >> 48)::int AND t.id = d.id AND w.part = t.part AND w.id = t.workflow_execution
