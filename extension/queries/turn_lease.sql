-- A lease whose tasks ($3) have all been reported at once goes on as another ($4), with other tasks.
UPDATE workflow.lease l SET id = $4, token = $4, worker = $5, until = $6, tasks = $7, created = $8, updated = $8
WHERE l.part = $1 AND l.id = $2 AND l.tasks = $3
