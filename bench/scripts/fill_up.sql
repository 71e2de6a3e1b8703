-- From here on pages are filled up, until room.sql. In a table that has been worked on, rows have grown since they were put
-- in, and leave no room below the fillfactor. Written anew, or copied, as ended rows, they would leave a little in each page:
-- new tasks would go there one by one, and after a checkpoint each would have its page logged whole.
CREATE TEMP TABLE filled AS SELECT oid::regclass AS name, reloptions FROM pg_class
WHERE relkind = 'r' AND relnamespace IN ('public'::regnamespace, 'workflow'::regnamespace)
  AND array_to_string(reloptions, ', ') LIKE '%fillfactor%';
SELECT format('ALTER TABLE %s SET (fillfactor = 100)', name) FROM filled \gexec
