-- Whether there are any hooks.
SELECT EXISTS (SELECT FROM workflow.hook)
