-- Locks leases whose tasks have all been reported together, in the global lock order. Returns those for which this is
-- still true.
SELECT l.part, l.id FROM workflow.lease l JOIN rows AS d ON l.part = d.part AND l.id = d.id AND l.tasks = d.tasks
ORDER BY l.part, l.id
FOR UPDATE OF l
