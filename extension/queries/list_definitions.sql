-- Returns all workflows.
SELECT d.id FROM workflow.workflow_definition d
