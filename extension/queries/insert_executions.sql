-- Inserts executions that begin.
INSERT INTO workflow.execution SELECT n.* FROM unnest($1) AS n
