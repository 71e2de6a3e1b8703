-- Returns how long it is from now ($1) until a key of a limit is due for a check.
SELECT greatest(pg_catalog.min(k.check_at) - $1, interval '0') FROM workflow.limit_key k WHERE k.check_at IS NOT NULL
