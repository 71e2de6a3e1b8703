-- Takes a database's place for a ticker, until the process ends; false where another has it.
SELECT pg_catalog.pg_try_advisory_lock('pg_catalog.pg_extension'::pg_catalog.regclass::pg_catalog.oid::int, 0)
