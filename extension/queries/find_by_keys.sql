-- Finds executions that were started with the given keys, with the position of each key.
SELECT e.id, k.place
FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($3::text[])) WITH ORDINALITY AS k(part, idempotency_key, place)
JOIN workflow.execution e ON e.part = k.part AND e.action_ref = $2 AND e.idempotency_key = k.idempotency_key
