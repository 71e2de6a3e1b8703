-- :rows executions, and no task in hand yet.
SELECT count(*) AS np, '{}' AS tasks, '{}' AS leases
FROM workflow_start_many(:ref, array_fill(:payload::jsonb, ARRAY[:rows::int])) \gset
