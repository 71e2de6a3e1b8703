-- Whether a signal with this name and key is still kept for a task; no row if none was sent.
SELECT s.task IS NULL FROM workflow.signal s
WHERE s.part = ($1 >> 48)::int AND s.execution = $1 AND s.name = $2 AND s.key = $3
