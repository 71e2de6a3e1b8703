-- Makes tasks whose lease has expired claimable again if their workflow execution, which is locked, is running, or if
-- they close it, or if they have an undo, for which it must be known whether they were done; unless they have now
-- reached their maximum number of lost leases ($3, if the task does not specify one), are no longer needed ($4), or
-- were being claimed when their execution was stopped by force. Counts the loss. Returns for each task whether it is
-- claimable again, how often it was lost, who lost it last, and its action if it is queued.
UPDATE workflow.workflow_task_execution t
SET lost_leases = t.lost_leases + 1, last_worker = coalesce(l.worker, t.last_worker), updated = $2,
    status = CASE WHEN o.again THEN 'scheduled'::workflow.execution_status ELSE t.status END,
    lease = CASE WHEN NOT o.again THEN t.lease END,
    due_at = CASE WHEN NOT o.again THEN t.due_at END,
    undo = CASE WHEN o.again THEN t.undo || '{"unknown": true}' ELSE t.undo END,
    queue_at = CASE WHEN o.again AND NOT o.paused THEN $2 - t.priority * interval '1 minute' END
FROM (
  SELECT t.part, t.id, w.paused,
    (w.status = 'running' OR t.closing OR t.undo IS NOT NULL) AND t.lost_leases + 1 < coalesce(t.max_lost_leases, $3) AND o.id <> ALL ($4::bigint[])
      AND (w.state ? 'forced') IS NOT TRUE AS again
  FROM pg_catalog.unnest($1::bigint[]) AS o(id)
  CROSS JOIN LATERAL (
    SELECT t.part, t.id, t.workflow_execution, t.closing, t.lost_leases, t.max_lost_leases, t.undo
    FROM workflow.workflow_task_execution t WHERE t.part = (o.id >> 48)::int AND t.id = o.id OFFSET 0) AS t
  JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution) AS o
LEFT JOIN LATERAL (
  SELECT l.worker FROM workflow.workflow_task_execution h
  JOIN workflow.lease l ON l.part = h.part AND (l.id = h.lease OR l.token = h.lease AND l.id <> l.token) AND h.id = ANY (l.tasks)
  WHERE h.part = o.part AND h.id = o.id LIMIT 1) AS l ON true
WHERE t.part = o.part AND t.id = o.id
RETURNING t.id, o.again, t.lost_leases, t.last_worker, CASE WHEN t.queue_at IS NOT NULL THEN t.action_ref END
