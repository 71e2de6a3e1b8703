-- Returns the retention checks that are due, locked unless someone else has them, with the number of seconds that the
-- workflow keeps such executions, or the default ($2) if it does not specify any; null means forever.
SELECT r.workflow_def, r.status::text, r.seen_created, r.seen_id, r.round_at,
  CASE pg_catalog.jsonb_typeof(d.definition -> 'keep' -> r.status::text)
    WHEN 'number' THEN (d.definition -> 'keep' ->> r.status::text)::float8 WHEN 'string' THEN NULL ELSE $2 END
FROM (SELECT due.* FROM workflow.retention due WHERE due.next_at <= $1
      ORDER BY due.next_at, due.workflow_def, due.status LIMIT 8 FOR NO KEY UPDATE SKIP LOCKED) AS r
JOIN workflow.workflow_definition d ON d.id = r.workflow_def
