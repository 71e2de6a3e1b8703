-- Tells of what has something in the queue that had nothing before.
SELECT workflow.notify_queued($1, $2)
