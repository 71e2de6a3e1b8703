-- Examines up to $1 keys of limits, starting at a random one ($3), and removes those that were created more than an
-- hour ago ($2: now), together with their slots, provided that no slot is taken, nobody is waiting, and a new key would
-- have the same rate. Skips keys that others have locked.
WITH looked_at AS MATERIALIZED (
  SELECT k.id FROM workflow.limit_key k
  WHERE k.id >= (SELECT pg_catalog.min(o.id) + pg_catalog.floor($3 * greatest(0, pg_catalog.max(o.id) - pg_catalog.min(o.id) - $1))::bigint
                 FROM workflow.limit_key o)
  ORDER BY k.id LIMIT $1),
idle AS MATERIALIZED (
  SELECT k.id, k.slots FROM workflow.limit_key k
  WHERE k.id IN (SELECT l.id FROM looked_at l) AND k.check_at IS NULL AND k.created < $2 - interval '1 hour' AND k.next_at <= $2
    AND k.limit_name <> '@workflow'
    AND NOT EXISTS (SELECT FROM workflow.limit_slot s WHERE s.key = k.id AND s.task IS NOT NULL)
  FOR UPDATE SKIP LOCKED),
free AS MATERIALIZED (
  SELECT s.key, s.number FROM workflow.limit_slot s
  WHERE s.key IN (SELECT i.id FROM idle i) AND s.task IS NULL
  FOR UPDATE SKIP LOCKED),
unused AS MATERIALIZED (
  SELECT i.id FROM idle i LEFT JOIN free f ON f.key = i.id GROUP BY i.id, i.slots HAVING pg_catalog.count(f.number) = i.slots),
slots AS (
  DELETE FROM workflow.limit_slot s USING unused u WHERE s.key = u.id)
DELETE FROM workflow.limit_key k USING unused u WHERE k.id = u.id
