-- Inserts the workflow executions of executions that begin.
INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, version, status, priority, due_at, created, updated)
SELECT (n.execution >> 48)::int, (n.execution >> 48) << 48 | $2 | nextval('workflow.workflow_execution_id_seq'), n.execution, $3, $4, 'running', $5, $6 + $7::float8 * interval '1 second', $6, $6
FROM unnest($1::bigint[]) WITH ORDINALITY AS n(execution, place)
ORDER BY n.place
RETURNING id, execution
