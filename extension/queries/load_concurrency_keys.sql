-- Reads the workflows, limits and keys under which executions count for concurrency, and the places of those that wait;
-- executions without concurrency are left out and, if $2 is true, those that do not wait. The last column: whether they
-- displace the oldest; only a start that was to begin at once does so.
SELECT w.id, w.workflow_def, '@' || f.ref, w.concurrency_key, w.limit_place,
  v.definition #>> '{concurrency,when_full}' = 'cancel_oldest' AND w.limit_place = w.created
FROM pg_catalog.unnest($1::bigint[]) AS d(id)
CROSS JOIN LATERAL (
  -- OFFSET forces one lookup per execution: those that wait look rare enough to be searched for first.
  SELECT o.id, o.workflow_def, o.version, o.concurrency_key, o.limit_place, o.created FROM workflow.workflow_execution o
  WHERE o.part = (d.id >> 48)::int AND o.id = d.id OFFSET 0) AS w
JOIN workflow.workflow_definition f ON f.id = w.workflow_def
JOIN workflow.workflow_definition_version v ON v.id = w.version
WHERE w.concurrency_key IS NOT NULL AND (w.limit_place IS NOT NULL OR NOT $2)
