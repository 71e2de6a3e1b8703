-- Processes what a run has left in the queue; executions have bench.steps steps. Steps that are claimed but not
-- completed stay.
DO $$
DECLARE
  steps int := current_setting('bench.steps');
BEGIN
  WHILE EXISTS (SELECT FROM tk WHERE state = 0) LOOP
    WITH d AS (UPDATE tk SET state = 2, done_at = now(), result = payload WHERE state = 0 RETURNING ex, step, result),
    s AS (INSERT INTO tk (ex, step, payload) SELECT ex, step + 1, result FROM d WHERE step < steps)
    UPDATE ex SET status = 2, output = d.result, done_at = now() FROM d WHERE ex.id = d.ex AND d.step = steps;
  END LOOP;
END $$;
