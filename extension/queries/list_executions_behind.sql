-- Lists those of executions ($1) that are behind others: of the same workflow ($2), waiting for the same key ($3), and
-- with earlier places than theirs ($4). Executions in parts of other servers do not count.
SELECT d.id
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::timestamptz[]))
  AS d(id, definition, key, place)
WHERE EXISTS (
  SELECT FROM workflow.workflow_execution w
  WHERE w.workflow_def = d.definition AND w.concurrency_key = d.key AND w.limit_place IS NOT NULL AND w.status = 'running'
    AND (w.limit_place, w.id) < (d.place, d.id) AND w.id <> ALL ($1) AND w.part <> ALL (workflow.foreign_parts()))
