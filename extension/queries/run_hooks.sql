-- Starts what hooks say is to be started at the end of these executions.
SELECT workflow.run_hooks($1, $2)
