-- Does one step of a job that is locked. Returns whether it did anything, as 1 or 0.
SELECT workflow.step_bulk_job(j, $2) FROM workflow.bulk_job j WHERE j.id = $1
