-- Inserts executions that begin.
INSERT INTO workflow.execution SELECT n.* FROM rows AS n
