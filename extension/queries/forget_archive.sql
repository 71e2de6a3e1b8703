-- Removes the archive: executions that are deleted are not archived.
DELETE FROM workflow.archive
