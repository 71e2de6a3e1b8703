-- Reuses the lease $6 of part $5, whose tasks ($7) have all been reported together, for other tasks ($9): under its token, or
-- under another ($8). Held by worker $1, who called as role $4, until $2. Returns the part and the old id.
UPDATE workflow.lease l
SET id = $8, token = $8, worker = $1, role = $4, expires_from = workflow.expires_from($2), until = $2, updated = $3, tasks = $9
WHERE l.part = $5 AND l.id = $6 AND l.tasks = $7
RETURNING $5, $6
