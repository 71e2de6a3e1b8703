-- Inserts executions that are starting with idempotency keys. Leaves out those whose key is definitely taken: if a
-- start with the same key has not been committed yet, waits for its outcome. Columns that an owner has added get their
-- defaults.
INSERT INTO workflow.execution (
  part, id, created, action_ref, action, parent, idempotency_key, enforcement, executor, config, status, updated,
  result)
SELECT
  n.part, n.id, n.created, n.action_ref, n.action, n.parent, n.idempotency_key, n.enforcement, n.executor, n.config,
  n.status, n.updated, n.result
FROM rows AS n
ON CONFLICT (part, action_ref, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
RETURNING id
