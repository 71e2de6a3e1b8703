-- Completes the claimed steps, inserts the next ones, and closes executions of :k steps after the last.
WITH d AS (
  UPDATE tk SET state = 2, done_at = now(), result = :result::jsonb WHERE id = ANY (:ids::bigint[]) AND state = 1
  RETURNING ex, step, result),
s AS (INSERT INTO tk (ex, step, payload) SELECT ex, step + 1, result FROM d WHERE step < :k::int)
UPDATE ex SET status = 2, output = d.result, done_at = now() FROM d WHERE ex.id = d.ex AND d.step = :k::int;
