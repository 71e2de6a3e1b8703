-- Inserts executions that begin; one whose idempotency key is taken is left out.
INSERT INTO workflow.execution (part, id, action, action_ref, config, parent, status, idempotency_key, created, updated)
SELECT $1, ($1::bigint << 48) | $2 | nextval('workflow.execution_id_seq'), $3, $4, n.config::jsonb, $5, 'running', n.idempotency_key, $8, $8
FROM unnest($6::text[], $7::text[]) WITH ORDINALITY AS n(config, idempotency_key, place)
ORDER BY n.place
ON CONFLICT (part, action_ref, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id, idempotency_key
