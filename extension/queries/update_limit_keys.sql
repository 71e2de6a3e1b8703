-- Records the theoretical arrival times of the next tasks of keys of limits, which are locked, and when to check those
-- that tasks wait for: a check is never put off, however often others come to wait.
UPDATE workflow.limit_key k
SET next_at = d.next_at, check_at = CASE WHEN d.check_at IS NOT NULL THEN least(k.check_at, d.check_at) END, updated = $4,
    waiting_since = CASE WHEN d.check_at IS NOT NULL THEN coalesce(k.waiting_since, $4) END,
    idle_by = NULL, idle_xid = NULL
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::timestamptz[]), pg_catalog.unnest($3::timestamptz[])) AS d(id, next_at, check_at)
WHERE k.id = d.id
