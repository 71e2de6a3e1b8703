-- Reuses a lease whose tasks ($3) have all been reported together for other tasks: under its token, or under another
-- ($4).
UPDATE workflow.lease l
SET id = $4, token = $4, worker = $5, role = $9, expires_from = workflow.expires_from($6), until = $6, updated = $8, tasks = $7
WHERE l.part = $1 AND l.id = $2 AND l.tasks = $3
