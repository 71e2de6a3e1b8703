-- Returns the parts to which a role is bound, directly or through a role whose privileges it has.
SELECT pg_catalog.array_agg(DISTINCT p.part ORDER BY p.part)
FROM workflow.worker_parts w CROSS JOIN LATERAL pg_catalog.unnest(w.parts) AS p(part)
WHERE pg_catalog.pg_has_role($1, w.role::oid, 'USAGE')
