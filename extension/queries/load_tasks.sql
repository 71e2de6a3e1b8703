-- The newest ended run of each task, its items taken together. What is being reported ($3) has not ended.
SELECT DISTINCT ON (run.workflow_execution, run.task_name)
       run.workflow_execution, run.task_name, run.status, run.result, run.error, run.items, run.failed
FROM (SELECT t.workflow_execution, t.task_name, max(t.id) AS id,
             CASE WHEN bool_or(t.skipped) THEN 'skipped'
                  WHEN bool_or(t.status = 'cancelled') THEN 'cancelled'
                  WHEN bool_or(t.status = 'failed') THEN 'failed'
                  WHEN bool_or(t.status = 'timeout') THEN 'timeout'
                  WHEN bool_or(t.status = 'abandoned') THEN 'abandoned'
                  ELSE 'completed' END AS status,
             CASE WHEN count(t.task_index) = 0 THEN (array_agg(t.result))[1]
                  ELSE jsonb_agg(t.result ORDER BY t.task_index) FILTER (WHERE t.attempt > 0) END AS result,
             (array_agg(t.error ORDER BY t.id) FILTER (WHERE t.error IS NOT NULL))[1] AS error,
             count(t.task_index)::int AS items,
             (count(*) FILTER (WHERE t.status IN ('failed', 'timeout', 'abandoned')))::int AS failed
      FROM unnest($1::bigint[]) AS wanted(id)
      JOIN workflow.workflow_task_execution t
        ON t.part = (wanted.id >> 48)::int AND t.workflow_execution = wanted.id
      WHERE $2::text[] IS NULL OR t.task_name = ANY ($2)
      GROUP BY t.workflow_execution, t.task_name, t.route, t.visit
      HAVING every(t.completed_at IS NOT NULL AND t.id NOT IN (SELECT r.id FROM unnest($3::bigint[]) AS r(id)))) AS run
ORDER BY run.workflow_execution, run.task_name, run.id DESC
