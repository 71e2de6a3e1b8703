-- Finds out where a part is that is not this server's.
SELECT f.status, f.server FROM workflow.foreign_part f WHERE f.part = $1
