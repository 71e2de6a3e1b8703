-- Finds and locks up to $1 keys of limits that are due for a check ($2), unless someone else has locked them. Returns
-- the number of tasks that can get a free slot, the theoretical arrival time of the next one in microseconds, when
-- tasks began to wait, the limit, when its hold ends, whether executions wait for it, and when it was last checked or
-- used. If the limit no longer exists, or never did, all waiting tasks can get a slot.
SELECT k.id,
  CASE WHEN r.max_running IS NULL THEN 1000 ELSE
    (SELECT pg_catalog.count(*) FROM (SELECT FROM workflow.limit_slot s WHERE s.key = k.id AND s.task IS NULL LIMIT 1000) AS free)
      + r.max_running - k.slots END,
  CASE WHEN pg_catalog.isfinite(k.next_at) THEN (pg_catalog.date_part('epoch', k.next_at - timestamptz '2000-01-01 00:00:00+00') * 1000000)::bigint END,
  k.waiting_since, r.max_running, r.rate, (pg_catalog.date_part('epoch', r.per) * 1000000)::bigint, r.burst,
  (SELECT pg_catalog.max(h.until) FROM workflow.hold h
   WHERE h.until > $2 AND (h.target = 'limit' AND h.name = k.limit_name AND h.key IN ('', k.key)
                           OR h.target = 'workflow' AND k.limit_name = '@workflow' AND h.name = k.key AND h.key = '')),
  k.limit_name ~~ '@%' AND k.limit_name <> '@workflow', k.updated
FROM workflow.limit_key k
LEFT JOIN workflow.limit_rule r ON r.name = k.limit_name
WHERE k.check_at <= $2
ORDER BY k.check_at, k.id LIMIT $1
FOR NO KEY UPDATE OF k SKIP LOCKED
