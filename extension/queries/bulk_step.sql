-- Executes one step of a job as the current role.
SELECT workflow.bulk_step($1, $2, $3, $4, $5, $6, $7, $8)
