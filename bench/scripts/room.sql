-- What comes from now on has the room that its table's fillfactor gives it.
SELECT format('ALTER TABLE %s SET (%s)', name, array_to_string(reloptions, ', ')) FROM filled \gexec
