-- Locks leases whose tasks have been reported all at once, in the one order there is. Gives those that are still so.
SELECT l.part, l.id FROM workflow.lease l JOIN rows AS d ON l.part = d.part AND l.id = d.id AND l.tasks = d.tasks
ORDER BY l.part, l.id
FOR UPDATE OF l
