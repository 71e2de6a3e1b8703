-- The yardstick: :n tasks put in, claimed and completed. Three statements, three commits.
INSERT INTO q (payload) SELECT :payload::jsonb FROM generate_series(1, :n::int);
WITH c AS (
  UPDATE q SET state = 1, attempts = attempts + 1, lease_until = now() + interval '30s'
  WHERE id IN (SELECT id FROM q WHERE state = 0 AND run_at <= now() ORDER BY id LIMIT :n::int FOR UPDATE SKIP LOCKED)
  RETURNING id, payload)
SELECT coalesce(array_agg(id), '{}') AS ids, count(payload) AS np FROM c \gset
UPDATE q SET state = 2, done_at = now(), result = :result::jsonb WHERE id = ANY (:ids::bigint[]) AND state = 1;
