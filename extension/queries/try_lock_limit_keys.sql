-- Locks keys of limits, unless someone else has, and returns for each the number of its slots, the theoretical arrival
-- time of its next task in microseconds, and whether tasks wait for it.
SELECT k.id, k.slots,
  CASE WHEN pg_catalog.isfinite(k.next_at) THEN (pg_catalog.date_part('epoch', k.next_at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint END,
  k.check_at IS NOT NULL
FROM workflow.limit_key k WHERE k.id = ANY ($1) ORDER BY k.id
FOR NO KEY UPDATE SKIP LOCKED
