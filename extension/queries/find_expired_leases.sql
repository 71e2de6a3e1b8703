-- Finds and locks up to $1 expired leases ($2) that nobody else has locked. $3: the parts, which lie between $4 and $5.
SELECT l.part, l.id FROM workflow.lease l
WHERE l.expires_from <= $2 AND l.until <= $2 AND l.part BETWEEN $4 AND $5 AND ($3::int[] IS NULL OR l.part = ANY ($3))
ORDER BY l.expires_from LIMIT $1 FOR UPDATE SKIP LOCKED
