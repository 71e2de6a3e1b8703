-- Does one step of a job that is locked. Returns how much it did.
SELECT workflow.step_bulk_job(j, $2, $3) FROM workflow.bulk_job j WHERE j.id = $1
