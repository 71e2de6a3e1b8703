-- What somebody did to an execution, for itself and for the workflow executions that it has reached ($6).
SELECT workflow.log_control($1, $2, $3, $4, NULL, $5, $6)
