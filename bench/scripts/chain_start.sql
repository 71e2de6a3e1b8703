-- Starts :rows executions, each with its first task.
WITH e AS (INSERT INTO ex (input) SELECT :payload::jsonb FROM generate_series(1, :rows::int) RETURNING id, input)
INSERT INTO tk (ex, step, payload) SELECT id, 1, input FROM e;
