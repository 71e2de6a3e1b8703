-- Lists and locks the executions that have waited longest for each of these keys ($1), up to $2 for each, unless
-- someone else has locked them or another server has their part: their ids, workflows, the names and texts of the keys,
-- their places, and the ids of the keys. Those whose time has not come ($3: now) do not wait yet.
SELECT w.id, k.definition, k.limit_name, k.key, w.limit_place, d.key
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(key, count)
CROSS JOIN LATERAL (
  SELECT n.limit_name, n.key, f.id AS definition FROM workflow.limit_key n
  JOIN workflow.workflow_definition f ON f.ref = pg_catalog.substr(n.limit_name, 2)
  WHERE n.id = d.key OFFSET 0) AS k
CROSS JOIN LATERAL (
  SELECT n.id, n.limit_place FROM workflow.workflow_execution n
  WHERE n.workflow_def = k.definition AND n.concurrency_key = k.key AND n.limit_place <= $3 AND n.status = 'running'
    AND n.part <> ALL (workflow.foreign_parts())
  ORDER BY n.limit_place, n.id LIMIT d.count
  FOR NO KEY UPDATE SKIP LOCKED) AS w
