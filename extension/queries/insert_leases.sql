-- Inserts leases for tasks handed over or claimed: held by worker $1, who called as role $4, until $2.
INSERT INTO workflow.lease (part, id, token, worker, role, created, expires_from, until, updated, tasks)
SELECT n.part, n.id, n.token, $1, $4, $3, workflow.expires_from($2), $2, $3, n.tasks FROM rows AS n
