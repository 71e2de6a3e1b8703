-- Logs, for executions that an operation on other executions has reached, the same event with its reason and author. Logs nothing
-- if nobody initiated it, or if a cancel changes nothing.
INSERT INTO workflow.event (part, id, execution, kind, message, author, created, updated)
SELECT w.part, w.part::bigint << 48 | $4 | pg_catalog.nextval('workflow.event_id_seq'), w.id, $3, last.message, last.author, $5, $5
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) WITH ORDINALITY AS d(reached, source, place)
JOIN workflow.workflow_execution w ON w.part = (d.reached >> 48)::int AND w.id = d.reached
CROSS JOIN LATERAL (
  SELECT e.kind, e.message, e.author FROM workflow.event e
  WHERE e.part = (d.source >> 48)::int AND e.execution = d.source
    AND e.kind = ANY (CASE WHEN $3 IN ('pause', 'resume') THEN '{pause, resume}'::text[] ELSE '{cancel, rerun}' END)
  ORDER BY e.id DESC LIMIT 1) AS last
WHERE last.kind = $3 AND ($3 <> 'cancel' OR w.status = 'running')
ORDER BY d.place
