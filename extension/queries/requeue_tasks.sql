-- Makes tasks whose lease has expired claimable again if their workflow execution, which is locked, is running, or if they close
-- it. Returns these.
UPDATE workflow.workflow_task_execution t
SET status = 'scheduled', lease = NULL, due_at = NULL, started_at = NULL, updated = $2,
    queue_at = CASE WHEN NOT w.paused THEN $2 - t.priority * interval '1 minute' END
FROM pg_catalog.unnest($1::bigint[]) AS o(id), workflow.workflow_execution w
WHERE t.part = (o.id >> 48)::int AND t.id = o.id AND w.part = t.part AND w.id = t.workflow_execution AND (w.status = 'running' OR t.closing)
RETURNING t.id
