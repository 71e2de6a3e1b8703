-- Inserts a job of a role ($4), and deletes those that ended 90 days ago.
WITH old AS (
  DELETE FROM workflow.bulk_job o
  WHERE o.id IN (SELECT j.id FROM workflow.bulk_job j WHERE j.status = 'completed' AND j.updated < $5 - interval '90 days'
                 ORDER BY j.id LIMIT 100 FOR UPDATE SKIP LOCKED))
INSERT INTO workflow.bulk_job (action, filter, arguments, role, author, status, created, updated)
VALUES ($1, $2, $3, $4::oid::regrole, workflow.name_caller(session_user::text), 'running', $5, $5)
RETURNING id
