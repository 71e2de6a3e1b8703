-- Records the theoretical arrival times of the next tasks of keys of limits ($6), and when these keys, which are locked,
-- are due for the next check ($2) if tasks still wait for them. If no waiting task is visible, a transaction that has seen the key in its earlier state may still send one there. So this is noted first (idle_by). A
-- later transaction, which sees the note, knows that only those that have begun by now, with a number below $5, can have missed it
-- (idle_xid); when these have ended, the key is no longer checked. Until then it is checked again ($4).
UPDATE workflow.limit_key k
SET next_at = d.next_at,
    check_at = CASE WHEN s.waits THEN d.next_check WHEN s.is_over THEN NULL ELSE $4 END,
    waiting_since = CASE WHEN NOT s.is_over OR s.waits THEN coalesce(k.waiting_since, $3) END,
    idle_by = CASE WHEN NOT s.waits AND NOT s.is_over THEN coalesce(k.idle_by, pg_catalog.pg_current_xact_id()) END,
    idle_xid = CASE WHEN NOT s.waits AND NOT s.is_over AND k.idle_by <> pg_catalog.pg_current_xact_id()
      THEN coalesce(CASE WHEN k.idle_xid <= s.next THEN k.idle_xid END, s.next) END,
    updated = $3
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::timestamptz[]), pg_catalog.unnest($6::timestamptz[])) AS d(id, next_check, next_at)
CROSS JOIN LATERAL (
  SELECT EXISTS (SELECT FROM workflow.workflow_task_execution t WHERE t.limit_key = d.id)
      OR EXISTS (SELECT FROM workflow.workflow_execution e WHERE e.limit_key = d.id) AS waits,
    coalesce((SELECT i.idle_xid <= pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) FROM workflow.limit_key i WHERE i.id = d.id), false) AS is_over,
    $5::bigint::text::xid8 AS next OFFSET 0) AS s
WHERE k.id = d.id
