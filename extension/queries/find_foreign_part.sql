-- Returns where a part that does not belong to this server is.
SELECT f.status, f.server FROM workflow.foreign_part f WHERE f.part = $1
