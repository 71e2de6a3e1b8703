-- Inserts executions that are starting.
-- Columns that an owner has added get their defaults.
INSERT INTO workflow.execution (
  part, id, created, action_ref, action, parent, idempotency_key, enforcement, executor, config, status, updated,
  result)
SELECT
  n.part, n.id, n.created, n.action_ref, n.action, n.parent, n.idempotency_key, n.enforcement, n.executor, n.config,
  n.status, n.updated, n.result
FROM rows AS n
