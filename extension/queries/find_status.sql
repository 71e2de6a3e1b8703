-- Returns a value of the status enum.
SELECT e.oid FROM pg_catalog.pg_enum e
WHERE e.enumtypid = 'workflow.execution_status'::regtype AND e.enumlabel = $1::name
