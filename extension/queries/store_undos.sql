-- Stores the undos of tasks that have ended, numbered in the order of completion.
UPDATE workflow.workflow_task_execution t SET undo = d.undo, undo_number = d.number
FROM ROWS FROM (pg_catalog.unnest($1::bigint[]), pg_catalog.unnest($2::int[]), pg_catalog.unnest($3::jsonb[])) AS d(id, number, undo)
WHERE t.part = (d.id >> 48)::int AND t.id = d.id
