-- Returns up to $1 schedules that are due ($2), locked unless someone else has them. $3: the parts of the executions
-- that they start.
SELECT s.id FROM workflow.schedule s
WHERE s.next_at <= $2 AND ($3::int[] IS NULL OR s.part = ANY ($3))
ORDER BY s.next_at, s.id LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED
