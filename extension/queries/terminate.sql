-- Asks a process to terminate, and waits up to 10 seconds for it.
SELECT pg_catalog.pg_terminate_backend($1, 10000)
