-- Like reuse_lease, for several leases, which are locked.
UPDATE workflow.lease l
SET id = d.token, token = d.token, worker = $1, role = $4, expires_from = workflow.expires_from($2), until = $2, updated = $3,
    tasks = d.tasks
FROM rows AS d WHERE l.part = d.part AND l.id = d.id
RETURNING d.part, d.id
