-- Locks the leases of tasks with these tokens, in the global lock order.
SELECT FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS n(task, token)
JOIN workflow.lease l ON l.part = (n.task >> 48)::int AND (l.id = n.token OR (l.token = n.token AND l.id <> l.token))
ORDER BY l.part, l.id FOR NO KEY UPDATE OF l
