-- Somebody has an execution run on.
SELECT workflow.log_control($1, 'rerun', $2, $3, $4::jsonb, $5, NULL)
