-- Returns the rows of the newest ended run of each task, in item order. Tasks being reported ($3) do not count as ended.
SELECT n.workflow_execution, n.task_name, n.task_index, n.status, n.skipped, n.result, n.error, n.started_at, n.completed_at, n.attempt, n.last
FROM (
  SELECT r.*, pg_catalog.max(r.last) FILTER (WHERE r.over) OVER (PARTITION BY r.workflow_execution, r.task_name) AS newest
  FROM (
    SELECT t.workflow_execution, t.task_name, t.task_index, t.status, t.skipped, t.result, t.error, t.started_at, t.completed_at, t.attempt,
      pg_catalog.max(t.id) OVER run AS last,
      pg_catalog.bool_and(t.completed_at IS NOT NULL AND t.id <> ALL ($3::bigint[])) OVER run AS over
    FROM pg_catalog.unnest($1::bigint[]) AS wanted(id)
    JOIN workflow.workflow_task_execution t ON t.part = (wanted.id >> 48)::int AND t.workflow_execution = wanted.id
    WHERE $2::text[] IS NULL OR t.task_name = ANY ($2)
    WINDOW run AS (PARTITION BY t.workflow_execution, t.task_name, t.route, t.visit)) AS r) AS n
WHERE n.over AND n.last = n.newest
ORDER BY n.workflow_execution, n.task_name, n.task_index
