-- Lists those of the keys of limits ($1, $2) that tasks wait for.
SELECT k.id, k.limit_name, k.key
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS d(name, key)
JOIN workflow.limit_key k ON k.limit_name = d.name AND k.key = d.key
WHERE k.check_at IS NOT NULL AND k.idle_by IS NULL
