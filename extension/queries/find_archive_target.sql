-- Returns the schema and name of the function ($2) or table that is written as $1, quoted where necessary or not quoted
-- at all, and whether it can be an archive. The comparison is textual, because parsing an invalid name would raise an
-- error in PostgreSQL.
SELECT n.nspname::text, p.proname::text,
  p.prokind = 'f' AND NOT p.proretset AND p.pronargs = 1 AND p.proargtypes[0] = 'pg_catalog.jsonb'::pg_catalog.regtype AND n.nspname !~ '^pg_'
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE $2 AND $1 IN (
  pg_catalog.concat(n.nspname, '.', p.proname, '(', pg_catalog.oidvectortypes(p.proargtypes), ')'),
  pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(p.proname), '(', pg_catalog.oidvectortypes(p.proargtypes), ')'))
UNION ALL
SELECT n.nspname::text, c.relname::text,
  c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname !~ '^pg_'
    AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'execution' AND NOT a.attisdropped)
    AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'data' AND NOT a.attisdropped)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE NOT $2 AND c.relkind <> 'i' AND $1 IN (
  pg_catalog.concat(n.nspname, '.', c.relname),
  pg_catalog.concat(pg_catalog.quote_ident(n.nspname), '.', pg_catalog.quote_ident(c.relname)))
