-- Adds slots to keys ($1), which are locked, for tasks ($2) that are already running.
WITH given AS (
  SELECT d.key, d.task, pg_catalog.row_number() OVER (PARTITION BY d.key ORDER BY d.task) AS place
  FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::bigint[])) AS d(key, task)),
grown AS (
  UPDATE workflow.limit_key k SET slots = k.slots + c.count::int, next_slot = k.next_slot + c.count
  FROM (SELECT g.key, pg_catalog.count(*) FROM given g GROUP BY g.key) AS c
  WHERE k.id = c.key RETURNING k.id, k.next_slot - c.count AS first)
INSERT INTO workflow.limit_slot (key, number, task)
SELECT g.key, grown.first + g.place - 1, g.task FROM given g JOIN grown ON grown.id = g.key
