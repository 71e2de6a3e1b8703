-- Inserts tasks. Those for the worker that asks are born leased: one write where a queue takes two. The rows are whole: so
-- nothing has to be put in order between the array and the table.
INSERT INTO workflow.workflow_task_execution SELECT n.* FROM rows AS n
