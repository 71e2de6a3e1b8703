-- Logs the tasks of a claim.
SELECT workflow.log_claim($1, $2, $3, $4)
