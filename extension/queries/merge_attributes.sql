-- Merges the attributes of executions that are starting: those of the caller ($1), of the definition ($2), and those
-- given ($3). Later ones override earlier ones; null removes one. Leaves out executions without attributes.
SELECT n.place, m.attributes
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::jsonb[]), pg_catalog.unnest($3::jsonb[]))
  WITH ORDINALITY AS n(parent, defined, given, place)
LEFT JOIN workflow.workflow_execution w ON w.part = (n.parent >> 48)::int AND w.id = n.parent
CROSS JOIN LATERAL (
  SELECT pg_catalog.jsonb_object_agg(a.key, a.value) AS attributes
  FROM pg_catalog.jsonb_each(coalesce(w.attributes, '{}') || coalesce(n.defined, '{}') || coalesce(n.given, '{}')) AS a
  WHERE pg_catalog.jsonb_typeof(a.value) <> 'null') AS m
WHERE m.attributes IS NOT NULL
ORDER BY n.place
