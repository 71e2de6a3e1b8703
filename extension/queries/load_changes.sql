-- Returns changes of branches, given by execution and number, together with those that they refer to. One row per
-- entry; a change without entries has one row without a place.
WITH RECURSIVE wanted AS (
  SELECT d.id, d.change FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::int[])) AS d(id, change)
  UNION
  SELECT w.id, s.change
  FROM wanted w
  JOIN workflow.branch_change c ON c.part = (w.id >> 48)::int AND c.workflow_execution = w.id AND c.change = w.change
  CROSS JOIN LATERAL pg_catalog.unnest(c.sees) AS s(change))
SELECT w.id, w.change, c.place, c.name, c.value, c.sees
FROM wanted w
LEFT JOIN workflow.branch_change c ON c.part = (w.id >> 48)::int AND c.workflow_execution = w.id AND c.change = w.change
