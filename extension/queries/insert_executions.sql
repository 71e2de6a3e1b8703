-- Inserts executions that begin; one whose idempotency key is taken is left out.
INSERT INTO workflow.execution (part, id, action, action_ref, config, parent, status, idempotency_key, created, updated)
SELECT n.part, (n.part::bigint << 48) | $1 | nextval('workflow.execution_id_seq'), $2, $3, n.config::jsonb, n.parent, 'running', n.idempotency_key, $4, $4
FROM unnest($5::int[], $6::bigint[], $7::text[], $8::text[]) WITH ORDINALITY AS n(part, parent, config, idempotency_key, place)
ORDER BY n.place
ON CONFLICT (part, action_ref, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id, idempotency_key
