-- Executions that are deleted go nowhere.
DELETE FROM workflow.archive
