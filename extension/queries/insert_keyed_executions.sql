-- Inserts executions that begin under idempotency keys. One whose key is taken is left out, once it is certain that it is: a
-- start with the same key that has not committed yet is waited for.
INSERT INTO workflow.execution SELECT n.* FROM rows AS n
ON CONFLICT (part, action_ref, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id
