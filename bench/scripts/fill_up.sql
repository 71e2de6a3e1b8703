-- From here on pages are filled completely, until room.sql. In a table in use, rows have grown since they were
-- inserted, and leave no room below the fillfactor. If they were rewritten or copied as finished rows, they would leave
-- a little room in each page: new tasks would go there one by one, and after a checkpoint each of them would cause a
-- full-page image.
CREATE TEMP TABLE filled AS SELECT oid::regclass AS name, reloptions FROM pg_class
WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'workflow'::regnamespace)
  AND array_to_string(reloptions, ', ') LIKE '%fillfactor%';
SELECT format('ALTER TABLE %s SET (fillfactor = 100)', name) FROM filled \gexec
