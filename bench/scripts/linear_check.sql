-- What is wrong, a line each: executions that have not run all their steps (the number in the workflow's name), or have
-- no output; and what workflow_check finds.
SELECT format('%s executions of %s are %s with %s steps completed, output %s', count(*), ref, status, completed, output)
FROM (
  SELECT d.ref, e.status, e.result ? 'result' AS output, count(*) FILTER (WHERE t.status = 'completed') AS completed
  FROM workflow.execution e
  JOIN workflow.workflow_execution w ON w.part = e.part AND w.execution = e.id
  JOIN workflow.workflow_definition d ON d.id = w.workflow_def
  LEFT JOIN workflow.workflow_task_execution t ON t.part = w.part AND t.workflow_execution = w.id
  GROUP BY d.ref, e.part, e.id) AS run
WHERE status <> 'completed' OR output IS NOT TRUE OR completed <> substring(ref, '[0-9]+$')::int
GROUP BY ref, status, completed, output
UNION ALL
SELECT format('%s: %s %s, %s', invariant, subject, id, detail) FROM workflow_check();
