-- Removes entries of changes that others replace, given by execution, change and place. If no change is given, removes
-- all changes of the execution, which have become part of its variables.
DELETE FROM workflow.branch_change c
USING ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::int[]), pg_catalog.unnest($3::int[])) AS d(id, change, place)
WHERE c.part = (d.id >> 48)::int AND c.workflow_execution = d.id
  AND (d.change IS NULL OR c.change = d.change AND c.place = d.place)
