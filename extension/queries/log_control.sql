-- Logs what somebody did to an execution that this transaction holds locked, and to those that it reached from there; a pause or
-- cancel that changed nothing is not logged again.
--
-- What somebody does to an execution reaches those that it calls and those that call it. The caller holds all of them
-- locked that have changed, and what was logged before is all there is: where it says the same already, nothing has.
INSERT INTO workflow.event (part, id, workflow_execution, kind, message, author, detail, created, updated)
WITH RECURSIVE above AS (
  SELECT e.id, e.parent FROM workflow.execution e WHERE e.part = ($1 >> 48)::int AND e.id = $1
  UNION ALL
  SELECT e.id, e.parent FROM above a JOIN workflow.execution e ON e.part = ($1 >> 48)::int AND e.id = a.parent),
-- A cancel that goes up stops the others that are called there.
below AS (
  SELECT e.id FROM above a JOIN workflow.execution e ON e.part = ($1 >> 48)::int AND e.parent = a.id
  WHERE a.id = $1 OR $2 = 'cancel'
  UNION
  SELECT e.id FROM below b JOIN workflow.execution e ON e.part = ($1 >> 48)::int AND e.parent = b.id)
SELECT w.part, workflow.make_id(w.part, nextval('workflow.event_id_seq')), w.id, $2, left($3, 1000), session_user::text,
  nullif($4::jsonb, '{}'), $5, $5
FROM (SELECT a.id FROM above a UNION SELECT b.id FROM below b) AS family
JOIN workflow.workflow_execution w ON w.part = ($1 >> 48)::int AND w.execution = family.id
LEFT JOIN LATERAL (
  SELECT e.kind, e.message FROM workflow.event e
  WHERE e.part = w.part AND e.workflow_execution = w.id AND e.kind IN ('pause', 'resume', 'cancel', 'rerun')
  ORDER BY e.id DESC LIMIT 1) AS last ON true
WHERE CASE $2
  WHEN 'pause' THEN w.paused AND (last.kind IS DISTINCT FROM 'pause'
    OR w.execution = $1 AND $3 IS NOT NULL AND left($3, 1000) IS DISTINCT FROM last.message)
  WHEN 'resume' THEN w.execution = $1 OR NOT w.paused AND last.kind = 'pause'
  WHEN 'cancel' THEN w.status IN ('canceling', 'cancelled') AND last.kind IS DISTINCT FROM 'cancel'
    AND (w.execution = $1 OR w.updated = $5)
  ELSE w.execution = $1 END
ORDER BY w.id
