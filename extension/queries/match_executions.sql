-- Returns those of the executions ($1) that match all filters, in order; a null filter matches everything.
SELECT w.id
FROM pg_catalog.unnest($1::bigint[]) WITH ORDINALITY AS p(id, place)
JOIN workflow.workflow_execution w ON w.part = (p.id >> 48)::int AND w.id = p.id
JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
WHERE ($2::bigint IS NULL OR w.workflow_def = $2)
  AND ($3::text[] IS NULL OR w.status = ANY ($3::text[]::workflow.execution_status[]))
  AND ($4::jsonb IS NULL OR w.attributes @> $4)
  AND ($5::timestamptz IS NULL OR w.created >= $5) AND ($6::timestamptz IS NULL OR w.created < $6)
  AND ($7::timestamptz IS NULL OR workflow.is_end(e.status) AND e.updated >= $7)
  AND ($8::timestamptz IS NULL OR workflow.is_end(e.status) AND e.updated < $8)
  AND ($9::text IS NULL
       OR pg_catalog.left(coalesce(w.errors #>> '{0,code}', w.errors #>> '{0,error,code}', w.errors #>> '{0,error,type}'), 100) = $9)
  AND ($10::text IS NULL OR pg_catalog.strpos(pg_catalog.lower(w.error_message), pg_catalog.lower($10)) > 0
       OR EXISTS (SELECT FROM pg_catalog.jsonb_array_elements(w.errors) AS x(error)
                  WHERE pg_catalog.strpos(pg_catalog.lower(x.error ->> 'message'), pg_catalog.lower($10)) > 0))
  AND ($11::bool IS NULL OR $11 = CASE
    WHEN w.version IS NULL OR workflow.is_end(e.status) THEN w.failed_tasks <> '{}'
    ELSE w.had_failure AND EXISTS (
      SELECT FROM workflow.workflow_task_execution t
      WHERE t.part = w.part AND t.workflow_execution = w.id AND t.status IN ('failed', 'timeout', 'abandoned')) END)
ORDER BY p.place
