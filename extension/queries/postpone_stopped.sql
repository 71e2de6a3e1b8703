-- Leaves executions that stopped while someone was claiming tasks of theirs to the next tick: if the claim is rolled
-- back, the tasks still have to be withdrawn. $2: whether to include tasks that close an execution.
UPDATE workflow.workflow_execution w SET due_at = $3
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bool[])) AS d(id, everything)
WHERE w.part = (d.id >> 48)::int AND w.id = d.id AND EXISTS (
  SELECT FROM workflow.workflow_task_execution t
  WHERE t.part = w.part AND t.workflow_execution = w.id AND t.status IN ('requested', 'scheduled') 
    AND (d.everything OR NOT t.closing AND (t.undo ? 'unknown') IS NOT TRUE))
