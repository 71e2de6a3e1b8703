-- Starts what schedules have made due.
SELECT workflow.fire_schedules($1, $2, $3)
