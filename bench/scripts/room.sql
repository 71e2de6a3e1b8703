-- From here on, rows are inserted with the table's fillfactor again.
SELECT format('ALTER TABLE %s SET (%s)', name, array_to_string(reloptions, ', ')) FROM filled \gexec
