-- Prolongs leases.
SELECT h.task, h.state FROM workflow.heartbeat($1, $2, $3) AS h
