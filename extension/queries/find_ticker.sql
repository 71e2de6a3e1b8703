-- Finds the process that is the ticker of this database: the holder of the lock with this class ($1) and purpose ($2).
SELECT l.pid FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_database d ON d.oid = l.database
WHERE d.datname = pg_catalog.current_database() AND l.locktype = 'advisory' AND l.granted
  AND l.objsubid = $1 AND l.classid::pg_catalog.int8 = $2
