-- Stores a signal, with the task that it ends.
INSERT INTO workflow.signal (part, id, execution, task, name, key, payload, created, updated, error)
SELECT p.part, workflow.make_id(p.part, pg_catalog.nextval('workflow.signal_id_seq')), $1, $2, $3, $4, $5, $6, $6, $7
FROM (VALUES (($1 >> 48)::int)) AS p(part)
