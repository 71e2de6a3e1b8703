-- Sets where executions go when they are deleted.
INSERT INTO workflow.archive (kind, schema_name, object_name, role, created, updated)
VALUES (CASE WHEN $1 THEN 'function' ELSE 'table' END, $2, $3, $4::oid::regrole, $5, $5)
