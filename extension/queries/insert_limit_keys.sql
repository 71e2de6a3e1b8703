-- Creates keys of limits that are used for the first time. Nobody else is creating them at this moment.
INSERT INTO workflow.limit_key (id, limit_name, key, created, updated)
SELECT workflow.make_id(0, pg_catalog.nextval('workflow.limit_key_id_seq')), d.name, d.key, $3, $3
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS d(name, key)
ON CONFLICT ON CONSTRAINT limit_key_limit_name_key DO NOTHING
RETURNING id, limit_name, key
