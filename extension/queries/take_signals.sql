-- Assigns kept signals, oldest first, to tasks that have started to wait for them.
WITH waiting AS (
  SELECT t.part, t.id, t.workflow_execution, t.signal,
         pg_catalog.row_number() OVER (PARTITION BY t.workflow_execution, t.signal ORDER BY t.id) AS place
  FROM pg_catalog.unnest($1::bigint[]) AS d(id)
  JOIN workflow.workflow_task_execution t ON t.part = (d.id >> 48)::int AND t.id = d.id),
kept AS (
  SELECT s.part, s.id, s.execution, s.name,
         pg_catalog.row_number() OVER (PARTITION BY s.execution, s.name ORDER BY s.id) AS place
  FROM (SELECT DISTINCT w.part, w.workflow_execution, w.signal FROM waiting w) AS w
  JOIN workflow.signal s ON s.part = w.part AND s.execution = w.workflow_execution AND s.name = w.signal
  WHERE s.task IS NULL)
UPDATE workflow.signal s SET task = w.id, updated = $2
FROM waiting w
JOIN kept k ON k.execution = w.workflow_execution AND k.name = w.signal AND k.place = w.place
WHERE s.part = k.part AND s.id = k.id
RETURNING w.id, s.payload::text, s.error::text
