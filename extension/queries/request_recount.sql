-- Requests that the running tasks of limits be counted: some have begun under these keys ($1, $2) without a slot.
INSERT INTO workflow.limit_wakeup (recount, limit_name, key)
SELECT true, d.name, d.key FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS d(name, key)
