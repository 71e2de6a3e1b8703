-- Logs an operation on an execution that this transaction has locked, and on the workflow executions reached from there
-- ($6). $7: on whose behalf the session acts; null if on its own. A pause or resume that has changed nothing is not
-- logged again: the earlier event stands.
INSERT INTO workflow.event (part, id, execution, kind, message, author, detail, created, updated)
SELECT w.part, workflow.make_id(w.part, pg_catalog.nextval('workflow.event_id_seq')), w.id, $2, pg_catalog.left($3, 1000),
  coalesce($7::text, workflow.name_caller(session_user::text)), nullif($4::jsonb, '{}'), $5, $5
FROM (
  SELECT w.id FROM workflow.workflow_execution w WHERE w.part = ($1 >> 48)::int AND w.id = $1
  UNION
  SELECT r.id FROM pg_catalog.unnest($6::bigint[]) AS r(id)) AS family
-- OFFSET forces one lookup per execution: a part that was small when this was planned would be read as a whole.
CROSS JOIN LATERAL (
  SELECT w.part, w.id, w.execution, w.paused FROM workflow.workflow_execution w
  WHERE w.part = ($1 >> 48)::int AND w.id = family.id OFFSET 0) AS w
LEFT JOIN LATERAL (
  SELECT e.kind, e.message FROM workflow.event e
  WHERE e.part = w.part AND e.execution = w.id AND e.kind IN ('pause', 'resume', 'cancel', 'rerun')
  ORDER BY e.id DESC LIMIT 1) AS last ON true
WHERE CASE $2
  WHEN 'pause' THEN w.paused AND (last.kind IS DISTINCT FROM 'pause'
    OR w.id = $1 AND $3 IS NOT NULL AND pg_catalog.left($3, 1000) IS DISTINCT FROM last.message)
  WHEN 'resume' THEN w.id = $1 OR NOT w.paused AND last.kind = 'pause'
  ELSE true END
ORDER BY w.id
