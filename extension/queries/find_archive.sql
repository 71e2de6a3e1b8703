-- Returns where executions go when they are deleted.
SELECT a.kind = 'function', a.schema_name, a.object_name, a.role::oid FROM workflow.archive AS a
