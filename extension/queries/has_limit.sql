-- Finds a limit by name.
SELECT 1 FROM workflow.limit_rule r WHERE r.name = $1
