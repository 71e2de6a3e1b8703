-- What was handed over or claimed is held by this worker ($1) until then ($2).
INSERT INTO workflow.lease (part, id, token, worker, created, expires_from, until, updated, tasks)
SELECT n.part, n.id, n.token, $1, $3, workflow.expires_from($2), $2, $3, n.tasks FROM rows AS n
