-- Makes up to $1 keys of limits due now ($2) whose next check is further away than any check is ever scheduled: the
-- clock has been set back.
UPDATE workflow.limit_key k SET check_at = $2
FROM (
  SELECT o.id FROM workflow.limit_key o WHERE o.check_at > $2 + interval '2 minutes'
  ORDER BY o.check_at DESC LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED) AS late
WHERE k.id = late.id
