-- and completes them.
UPDATE q SET state = 2, done_at = now(), result = :result::jsonb WHERE id = ANY (:ids::bigint[]) AND state = 1;
