-- Lists problems, one per row: executions that do not have the expected tasks, or have no output; and the findings of
-- workflow_check.
SELECT format('%s executions of %s are %s with %s of %s steps completed, %s %s times as it should, output %s', count(*), ref,
  status, completed, steps, last, ran, output)
FROM (
  SELECT d.ref, x.steps, x.last, e.status, e.result ? 'result' AS output,
    count(*) FILTER (WHERE t.status = 'completed') AS completed,
    count(*) FILTER (WHERE t.task_name = x.last AND (x.items IS NULL OR t.input = jsonb_build_object('items', x.items))) AS ran
  FROM workflow.execution e
  JOIN workflow.workflow_execution w ON w.part = e.part AND w.execution = e.id
  JOIN workflow.workflow_definition d ON d.id = w.workflow_def
  LEFT JOIN expected x ON x.ref = d.ref
  LEFT JOIN workflow.workflow_task_execution t ON t.part = w.part AND t.workflow_execution = w.id
  GROUP BY d.id, x.ref, e.part, e.id) AS run
WHERE status <> 'completed' OR output IS NOT TRUE OR completed IS DISTINCT FROM steps OR ran <> 1
GROUP BY ref, status, completed, steps, last, ran, output
UNION ALL
SELECT format('%s: %s %s, %s', invariant, subject, id, detail) FROM workflow_check();
