-- Returns the role that owns the extension.
SELECT e.extowner FROM pg_catalog.pg_extension e WHERE e.extname = 'pg_workflow'
