-- Removes up to $1 holds that have ended ($2).
DELETE FROM workflow.hold h
USING (SELECT o.id FROM workflow.hold o WHERE o.until <= $2 ORDER BY o.until LIMIT $1 FOR UPDATE SKIP LOCKED) AS over
WHERE h.id = over.id
