-- Deletes those of the given executions, which are locked, that still have this final status and ended long enough ago:
-- a rerun may have come first.
SELECT d.deleted, d.trouble
FROM (SELECT coalesce(pg_catalog.array_agg(e.id ORDER BY e.id), '{}') AS ids
      FROM pg_catalog.unnest($1::bigint[]) AS c(id)
      CROSS JOIN LATERAL (
        SELECT y.id, y.status, y.updated FROM workflow.execution y WHERE y.part = (c.id >> 48)::int AND y.id = c.id OFFSET 0) AS e
      WHERE e.status = $2::workflow.execution_status AND e.updated <= $3) AS still
CROSS JOIN LATERAL workflow.delete_archivable(still.ids, $4) AS d
