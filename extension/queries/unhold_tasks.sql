-- What a pause held back is claimable again.
UPDATE workflow.workflow_task_execution t SET queue_at = $2 - t.priority * interval '1 minute', updated = $2
FROM unnest($1::bigint[]) AS d(workflow_execution)
WHERE t.part = (d.workflow_execution >> 48)::int AND t.workflow_execution = d.workflow_execution
  AND t.status = 'scheduled' AND t.queue_at IS NULL
