-- Stores changes published by branches.
INSERT INTO workflow.branch_change (part, workflow_execution, change, place, name, value, sees)
SELECT n.part, n.workflow_execution, n.change, n.place, n.name, n.value, n.sees
FROM rows AS n
