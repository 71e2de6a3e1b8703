-- Starts up to $2 executions for a schedule that is due and locked (sql/schedule.sql).
SELECT workflow.fire_schedule(s, $2, $3) FROM workflow.schedule s WHERE s.id = $1
