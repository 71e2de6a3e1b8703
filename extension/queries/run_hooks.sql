-- Starts the executions that hooks specify for the end of these executions.
SELECT workflow.run_hooks($1, $2)
