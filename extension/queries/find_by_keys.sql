-- Finds executions that were started with the given keys, with the position of each key, and whether their parameters
-- are the same: as given ($4) or with the current defaults ($5).
SELECT e.id, k.place, NOT EXISTS (
  SELECT FROM pg_catalog.jsonb_each(k.given) AS g(name, value)
  WHERE e.config -> g.name IS DISTINCT FROM g.value AND e.config -> g.name IS DISTINCT FROM k.checked -> g.name)
FROM ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($3::text[]), pg_catalog.unnest($4::jsonb[]), pg_catalog.unnest($5::jsonb[]))
  WITH ORDINALITY AS k(part, idempotency_key, given, checked, place)
JOIN workflow.execution e ON e.part = k.part AND e.action_ref = $2 AND e.idempotency_key = k.idempotency_key
