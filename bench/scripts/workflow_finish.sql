-- Reports what is in hand, and takes nothing.
SELECT count(*) AS np FROM workflow_finish(:outcomes::workflow.outcome[]) \gset
