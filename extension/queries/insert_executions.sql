-- Inserts executions that begin; one whose idempotency key is taken is left out, once it is certain that it is: a start
-- with the same key that has not committed yet is waited for. In the order of keys, so that batches do not deadlock.
WITH wanted AS MATERIALIZED (
  SELECT n.place, n.part, (n.part::bigint << 48) | $1 | nextval('workflow.execution_id_seq') AS id, n.parent, n.config, n.idempotency_key
  FROM unnest($5::int[], $6::bigint[], $7::text[], $8::text[]) WITH ORDINALITY AS n(part, parent, config, idempotency_key, place)),
inserted AS (
  INSERT INTO workflow.execution (part, id, action, action_ref, config, parent, status, idempotency_key, created, updated)
  SELECT w.part, w.id, $2, $3, w.config::jsonb, w.parent, 'running', w.idempotency_key, $4, $4
  FROM wanted w
  ORDER BY w.idempotency_key COLLATE "C", w.place
  ON CONFLICT (part, action_ref, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
  RETURNING id)
SELECT i.id, w.place FROM inserted i JOIN wanted w ON w.id = i.id ORDER BY w.place
