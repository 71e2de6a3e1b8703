-- A value of the enum of statuses.
SELECT e.oid FROM pg_catalog.pg_enum e
WHERE e.enumtypid = 'workflow.execution_status'::pg_catalog.regtype AND e.enumlabel OPERATOR(pg_catalog.=) $1::pg_catalog.name
