-- Executions that were started with these keys.
SELECT e.id, e.idempotency_key
FROM unnest($3::text[]) AS k(idempotency_key)
JOIN workflow.execution e ON e.part = $1 AND e.action_ref = $2 AND e.idempotency_key = k.idempotency_key
