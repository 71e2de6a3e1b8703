-- Makes executions wait to begin: at keys ($2), or until the next check ($3). They keep their place, or get $4; their
-- time limit counts from when they begin.
UPDATE workflow.workflow_execution w
SET limit_key = d.key, limit_place = coalesce(w.limit_place, d.place), updated = $5, due_in = NULL,
    due_at = CASE WHEN d.key IS NULL THEN d.look_at END
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[]), pg_catalog.unnest($3::timestamptz[]), pg_catalog.unnest($4::timestamptz[]))
  AS d(id, key, look_at, place)
WHERE w.part = (d.id >> 48)::int AND w.id = d.id
