-- Locks the job whose last step was longest ago, unless someone else has locked it.
SELECT j.id FROM workflow.bulk_job j WHERE j.status = 'running'
ORDER BY j.updated, j.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
