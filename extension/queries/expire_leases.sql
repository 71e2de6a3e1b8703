-- Makes claimable again what leases that have ended held.
SELECT workflow.expire_leases($1, $2, $3)
