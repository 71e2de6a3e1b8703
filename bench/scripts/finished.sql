-- A million finished tasks on both sides. Ours are 500 executions of bench.linear10 that have run here, copied 200
-- times with other ids: rows as the engine has written them, whatever their columns are.
SET session_replication_role = replica;
CREATE TEMP TABLE original AS
SELECT w.part, w.execution, w.id FROM workflow.workflow_execution w
JOIN workflow.workflow_definition d ON d.id = w.workflow_def
WHERE d.ref = 'bench.linear10' ORDER BY w.id LIMIT 500;

INSERT INTO workflow.execution
SELECT twin.* FROM generate_series(1, 200) AS n
CROSS JOIN original o
JOIN workflow.execution e ON e.part = o.part AND e.id = o.execution
CROSS JOIN jsonb_populate_record(e, jsonb_build_object('id', e.id + n * 1000000)) AS twin
ORDER BY twin.id;

INSERT INTO workflow.workflow_execution
SELECT twin.* FROM generate_series(1, 200) AS n
CROSS JOIN original o
JOIN workflow.workflow_execution w ON w.part = o.part AND w.id = o.id
CROSS JOIN jsonb_populate_record(w, jsonb_build_object('id', w.id + n * 1000000, 'execution', w.execution + n * 1000000)) AS twin
ORDER BY twin.id;

INSERT INTO workflow.workflow_task_execution
SELECT twin.* FROM generate_series(1, 200) AS n
CROSS JOIN original o
JOIN workflow.workflow_task_execution t ON t.part = o.part AND t.workflow_execution = o.id
CROSS JOIN jsonb_populate_record(t,
  jsonb_build_object('id', t.id + n * 1000000, 'workflow_execution', t.workflow_execution + n * 1000000)) AS twin
ORDER BY twin.id;

SELECT setval('workflow.execution_id_seq', 300000000),
  setval('workflow.workflow_task_execution_id_seq', 300000000);
RESET session_replication_role;

INSERT INTO q (state, attempts, lease_until, done_at, payload, result)
SELECT 2, 1, now(), now(), one.payload, one.result
FROM (SELECT payload, result FROM q WHERE state = 2 LIMIT 1) AS one, generate_series(1, 1000000);

-- Checks that there are exactly that many of ours: without originals there would be none.
DO $$ BEGIN
  ASSERT (SELECT count(*) FROM workflow.workflow_task_execution WHERE id > 1000000) = 1000000, 'these are not a million tasks';
END $$;
