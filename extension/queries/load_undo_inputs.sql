-- Reads the data from which the undos of tasks are rendered: their inputs, and what was stored when they were created.
SELECT t.id, t.input, t.undo FROM workflow.workflow_task_execution t WHERE t.part = $1 AND t.id = ANY ($2)
