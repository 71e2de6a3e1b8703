-- Records when keys of limits, which are locked, are due for the next check ($2) if tasks still wait for them. If no
-- waiting task is visible, a transaction that has seen the key in its earlier state may still send one there: the key
-- is checked once more ($4) after all of these transactions have ended.
UPDATE workflow.limit_key k
SET check_at = CASE WHEN s.waits THEN d.next_check WHEN s.is_over THEN NULL ELSE $4 END,
    waiting_since = CASE WHEN NOT s.is_over OR s.waits THEN coalesce(k.waiting_since, $3) END,
    idle_xid = CASE WHEN NOT s.waits AND NOT s.is_over THEN coalesce(CASE WHEN k.idle_xid <= s.next THEN k.idle_xid END, s.next) END,
    updated = $3
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::timestamptz[])) AS d(id, next_check)
CROSS JOIN LATERAL (
  SELECT EXISTS (SELECT FROM workflow.workflow_task_execution t WHERE t.limit_key = d.id)
      OR EXISTS (SELECT FROM workflow.workflow_execution e WHERE e.limit_key = d.id) AS waits,
    coalesce((SELECT i.idle_xid <= pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) FROM workflow.limit_key i WHERE i.id = d.id), false) AS is_over,
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot()) AS next OFFSET 0) AS s
WHERE k.id = d.id
