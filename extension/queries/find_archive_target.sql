-- Returns schema and name of a function ($2) or table, and whether it can be an archive.
SELECT n.nspname::text, p.proname::text,
  p.prokind = 'f' AND NOT p.proretset AND p.pronargs = 1 AND p.proargtypes[0] = 'pg_catalog.jsonb'::pg_catalog.regtype AND n.nspname !~ '^pg_'
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE $2 AND p.oid = CASE WHEN $2 THEN pg_catalog.to_regprocedure($1) END
UNION ALL
SELECT n.nspname::text, c.relname::text,
  c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname !~ '^pg_'
    AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'execution' AND NOT a.attisdropped)
    AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'data' AND NOT a.attisdropped)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT $2 AND c.oid = CASE WHEN NOT $2 THEN pg_catalog.to_regclass($1) END
