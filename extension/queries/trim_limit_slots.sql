-- Removes up to $2 slots of a key of a limit, which is locked: free ones, and those with numbers in $3, whose tasks have stopped.
-- Returns how many slots the key has left.
WITH free AS MATERIALIZED (
  SELECT s.number FROM workflow.limit_slot s WHERE s.key = $1 AND (s.task IS NULL OR s.number = ANY ($3)) ORDER BY s.number LIMIT $2 FOR UPDATE SKIP LOCKED),
gone AS (
  DELETE FROM workflow.limit_slot s USING free WHERE s.key = $1 AND s.number = free.number RETURNING 1)
UPDATE workflow.limit_key k SET slots = k.slots - (SELECT pg_catalog.count(*) FROM gone)::int WHERE k.id = $1
RETURNING k.slots
