-- Returns the newest ended run of each task, with its items combined. Tasks being reported ($3) do not count as ended.
SELECT DISTINCT ON (run.workflow_execution, run.task_name)
       run.workflow_execution, run.task_name, run.status, run.result, run.error, run.items, run.failed
FROM (SELECT t.workflow_execution, t.task_name, pg_catalog.max(t.id) AS id,
             CASE WHEN pg_catalog.bool_or(t.skipped) THEN 'skipped'
                  WHEN pg_catalog.bool_or(t.status = 'cancelled') THEN 'cancelled'
                  WHEN pg_catalog.bool_or(t.status = 'failed') THEN 'failed'
                  WHEN pg_catalog.bool_or(t.status = 'timeout') THEN 'timeout'
                  WHEN pg_catalog.bool_or(t.status = 'abandoned') THEN 'abandoned'
                  ELSE 'completed' END AS status,
             CASE WHEN pg_catalog.count(t.task_index) = 0 THEN (pg_catalog.array_agg(t.result))[1]
                  ELSE pg_catalog.jsonb_agg(t.result ORDER BY t.task_index) FILTER (WHERE t.attempt > 0) END AS result,
             (pg_catalog.array_agg(t.error ORDER BY t.id) FILTER (WHERE t.error IS NOT NULL))[1] AS error,
             pg_catalog.count(t.task_index)::int AS items,
             (pg_catalog.count(*) FILTER (WHERE t.status IN ('failed', 'timeout', 'abandoned')))::int AS failed
      FROM pg_catalog.unnest($1::bigint[]) AS wanted(id)
      JOIN workflow.workflow_task_execution t
        ON t.part = (wanted.id >> 48)::int AND t.workflow_execution = wanted.id
      WHERE $2::text[] IS NULL OR t.task_name = ANY ($2)
      GROUP BY t.workflow_execution, t.task_name, t.route, t.visit
      HAVING pg_catalog.every(t.completed_at IS NOT NULL AND t.id NOT IN (SELECT r.id FROM pg_catalog.unnest($3::bigint[]) AS r(id)))) AS run
ORDER BY run.workflow_execution, run.task_name, run.id DESC
