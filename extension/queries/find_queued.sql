-- Returns the actions in these parts that have queued tasks.
SELECT workflow.queued_actions($1)
