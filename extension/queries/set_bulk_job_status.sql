-- Stops a job or, depending on $2, lets it continue, unless it has completed, provided that a role ($3) has the
-- privileges of the job's role. Returns its status.
WITH turned AS (
  UPDATE workflow.bulk_job j SET status = $2, last_error = CASE WHEN $2 = 'stopped' THEN j.last_error END, updated = $4
  WHERE j.id = $1 AND pg_catalog.pg_has_role($3, j.role, 'USAGE') AND j.status <> $2 AND j.status <> 'completed'
    AND ($2 = 'running' OR j.status = 'running')
  RETURNING j.status)
SELECT coalesce((SELECT t.status FROM turned t), j.status)
FROM workflow.bulk_job j WHERE j.id = $1 AND pg_catalog.pg_has_role($3, j.role, 'USAGE')
