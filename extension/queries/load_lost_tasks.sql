-- Returns what is still running under leases: the tasks, their tokens and their workflow executions.
SELECT t.id, t.lease, t.workflow_execution
FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::bigint[])) AS d(part, id)
JOIN workflow.lease l ON l.part = d.part AND l.id = d.id
CROSS JOIN LATERAL pg_catalog.unnest(l.tasks) AS o(id)
JOIN workflow.workflow_task_execution t ON t.part = l.part AND t.id = o.id
WHERE t.status = 'running' AND t.lease = l.token
ORDER BY t.id
