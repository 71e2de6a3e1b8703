-- Requests a check of the keys of the limits of tasks ($1) that have left the queue without starting, if something else waits for
-- them: slots may have been freed for these tasks, and those behind them can have them now.
SELECT workflow.request_limit_checks(pg_catalog.array_agg(DISTINCT k.id))
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(t.limits) AS l(entry)
JOIN workflow.limit_key k ON k.limit_name = l.entry ->> 0 AND k.key = l.entry ->> 1
WHERE k.check_at IS NOT NULL
