-- Finds and locks up to $1 expired leases ($2) that nobody else has locked. $3: the parts, which lie between $4 and $5;
-- no index can be used for this condition, so that statistics from when the table was nearly empty cannot make another
-- index look as good as that of the expiry.
SELECT l.part, l.id FROM workflow.lease l
WHERE l.expires_from <= $2 AND l.until <= $2 AND (l.part BETWEEN $4 AND $5) IS TRUE AND ($3::int[] IS NULL OR l.part = ANY ($3))
ORDER BY l.expires_from LIMIT $1 FOR UPDATE SKIP LOCKED
