-- Starts :rows executions, with nothing in hand yet.
SELECT count(*) AS np, '{}' AS outcomes
FROM workflow_start_many(:ref, array_fill(:payload::jsonb, ARRAY[:rows::int])) \gset
