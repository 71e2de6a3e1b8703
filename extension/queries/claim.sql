-- Claims, as workflow_claim does.
SELECT c.task, c.lease_token, c.workflow_execution, c.task_name, c.task_index, c.action, c.input, c.attempt
FROM pg_catalog.workflow_claim($1, $2, $3, $4, $5) AS c
