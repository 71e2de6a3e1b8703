-- Completes the steps in hand, and inserts the next ones as already claimed: one statement, one commit per step.
WITH d AS (
  UPDATE tk SET state = 2, done_at = now(), result = :result::jsonb WHERE id = ANY (:ids::bigint[]) AND state = 1
  RETURNING ex, step, result),
s AS (
  INSERT INTO tk (ex, step, payload, state, attempts, lease_until)
  SELECT ex, step + 1, result, 1, 1, now() + interval '30s' FROM d WHERE step < :k::int RETURNING id, payload),
u AS (UPDATE ex SET status = 2, output = d.result, done_at = now() FROM d WHERE ex.id = d.ex AND d.step = :k::int)
SELECT coalesce(array_agg(id), '{}') AS ids, count(payload) AS np FROM s \gset
