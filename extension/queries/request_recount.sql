-- Requests that the running tasks of limits be counted: some have begun under these keys ($1, $2) without a slot. Adds
-- no request where there is one that nobody is handling at this moment.
WITH known AS MATERIALIZED (
  SELECT w.limit_name FROM workflow.limit_wakeup w WHERE w.recount AND w.limit_name = ANY ($1) FOR KEY SHARE SKIP LOCKED)
INSERT INTO workflow.limit_wakeup (recount, limit_name, key)
SELECT DISTINCT ON (d.name) true, d.name, d.key
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS d(name, key)
WHERE NOT EXISTS (SELECT FROM known k WHERE k.limit_name = d.name)
