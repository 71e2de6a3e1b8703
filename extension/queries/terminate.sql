-- Asks a process to end, and waits 10 seconds for it at most.
SELECT pg_catalog.pg_terminate_backend($1, 10000)
