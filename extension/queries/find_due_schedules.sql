-- Schedules that are due ($2), up to $1, locked where nobody else has them. $3: the parts of what they start.
SELECT s.id FROM workflow.schedule s
WHERE s.next_at <= $2 AND ($3::int[] IS NULL OR s.part = ANY ($3))
ORDER BY s.next_at, s.id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
