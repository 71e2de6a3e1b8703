-- Locks up to $2 free slots of each of these keys ($1), skipping those that others have locked.
SELECT s.key, s.number
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(key, count)
CROSS JOIN LATERAL (
  SELECT n.key, n.number FROM workflow.limit_slot n
  WHERE n.key = d.key AND n.task IS NULL AND NOT workflow.is_in_progress_elsewhere(n.xmax)
  ORDER BY n.number LIMIT d.count
  FOR NO KEY UPDATE SKIP LOCKED) AS s
