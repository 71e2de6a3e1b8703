-- Does what time has made due.
SELECT workflow.tick($1, $2)
