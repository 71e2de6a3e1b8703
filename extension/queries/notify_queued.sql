-- Notifies listeners of actions that have queued tasks and had none before.
SELECT workflow.notify_queued($1, $2)
