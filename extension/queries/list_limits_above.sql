-- Lists the limits of the calls through which executions ($1) are called, directly and indirectly.
WITH RECURSIVE calls AS (
  SELECT d.id AS run, t.workflow_execution AS caller, t.part, t.limits, 1 AS steps
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.execution = d.id
  UNION ALL
  SELECT c.run, t.workflow_execution, t.part, t.limits, c.steps + 1
  FROM calls c
  JOIN workflow.workflow_task_execution t ON t.part = c.part AND t.execution = c.caller
  WHERE c.steps < 1000)
SELECT c.run, c.limits FROM calls c WHERE c.limits IS NOT NULL
