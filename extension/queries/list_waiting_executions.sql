-- Lists and locks the executions that have waited longest for each of these keys ($1), up to $2 for each, unless
-- someone else has locked them or another server has their part, with the names, texts and ids of the keys.
SELECT w.id, k.limit_name, k.key, d.key
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(key, count)
CROSS JOIN LATERAL (SELECT n.limit_name, n.key FROM workflow.limit_key n WHERE n.id = d.key OFFSET 0) AS k
CROSS JOIN LATERAL (
  SELECT n.id FROM workflow.workflow_execution n
  WHERE n.limit_key = d.key AND n.part <> ALL (workflow.foreign_parts())
  ORDER BY n.limit_place, n.id LIMIT d.count
  FOR NO KEY UPDATE SKIP LOCKED) AS w
