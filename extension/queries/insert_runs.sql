-- Inserts the workflow executions of executions that begin.
INSERT INTO workflow.workflow_execution SELECT n.* FROM rows AS n
