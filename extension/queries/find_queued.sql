-- What has something in the queue, in these parts.
SELECT workflow.queued_actions($1)
