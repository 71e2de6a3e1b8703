-- Adds $2 free slots to a key of a limit, which is locked, and returns their numbers.
WITH grown AS (
  UPDATE workflow.limit_key k SET slots = k.slots + $2, next_slot = k.next_slot + $2 WHERE k.id = $1 RETURNING k.id, k.next_slot)
INSERT INTO workflow.limit_slot (key, number)
SELECT grown.id, n.number FROM grown CROSS JOIN LATERAL pg_catalog.generate_series(grown.next_slot - $2, grown.next_slot - 1) AS n(number)
RETURNING number
