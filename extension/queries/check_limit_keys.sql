-- Makes the next claim or tick check keys of limits ($1), unless someone else has locked them and will do the same.
UPDATE workflow.limit_key k SET check_at = $2, updated = $2
FROM (SELECT o.id FROM workflow.limit_key o WHERE o.id = ANY ($1) ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED) AS free
WHERE k.id = free.id AND k.check_at > $2
