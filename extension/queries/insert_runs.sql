-- Inserts the workflow executions of executions that begin.
INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, version, status, priority, depth, due_at, created, updated)
SELECT (n.execution >> 48)::int, (n.execution >> 48) << 48 | $4 | nextval('workflow.workflow_execution_id_seq'), n.execution, $5, $6,
       'running', n.priority, n.depth, $7 + $8::float8 * interval '1 second', $7, $7
FROM unnest($1::bigint[], $2::int[], $3::int[]) WITH ORDINALITY AS n(execution, priority, depth, place)
ORDER BY n.place
RETURNING id, execution
