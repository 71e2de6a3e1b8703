-- Deletes leases whose tasks have all been reported together.
DELETE FROM workflow.lease l USING rows AS d WHERE l.part = d.part AND l.id = d.id AND l.tasks = d.tasks
