-- Reports the tasks in hand, and claims nothing.
SELECT count(*) AS np FROM workflow_finish(:outcomes::workflow.outcome[]) \gset
