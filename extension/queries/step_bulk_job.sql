-- Executes one step of a locked job. Returns how much was done.
SELECT workflow.step_bulk_job(j, $2, $3) FROM workflow.bulk_job j WHERE j.id = $1
