-- Makes the next claim or tick check keys of limits ($1) that something waits for. If someone else has locked one, it may already have
-- been checked, by a session that could not see what has changed: then a request to check it is left.
WITH free AS MATERIALIZED (
  SELECT k.id FROM workflow.limit_key k WHERE k.id = ANY ($1) AND k.check_at IS NOT NULL ORDER BY k.id FOR NO KEY UPDATE SKIP LOCKED),
woken AS (
  UPDATE workflow.limit_key k SET check_at = $2 FROM free f WHERE k.id = f.id AND k.check_at > $2),
busy AS MATERIALIZED (
  SELECT k.id FROM workflow.limit_key k
  WHERE k.id = ANY ($1) AND k.check_at IS NOT NULL AND NOT EXISTS (SELECT FROM free f WHERE f.id = k.id))
SELECT workflow.request_limit_checks(pg_catalog.array_agg(b.id)) FROM busy b
