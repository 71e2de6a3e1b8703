-- Finds keys of limits ($1, $2), including those that are used for the first time: their places, ids, numbers of slots,
-- the limits, when their holds end ($3: now; $4: whether there may be holds), and whether others wait for them. There
-- is no row for a limit that does not exist.
SELECT d.place, k.id, k.slots, r.max_running, r.rate, (pg_catalog.date_part('epoch', r.per) * 1000000)::bigint, r.burst,
  CASE WHEN $4 THEN
    (SELECT pg_catalog.max(h.until) FROM workflow.hold h
     WHERE h.target = 'limit' AND h.name = d.name AND h.key IN ('', d.key) AND h.until > $3) END,
  k.check_at IS NOT NULL
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) WITH ORDINALITY AS d(name, key, place)
JOIN workflow.limit_rule r ON r.name = d.name
LEFT JOIN workflow.limit_key k ON k.limit_name = d.name AND k.key = d.key
