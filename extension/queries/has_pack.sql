-- Whether there is such a pack.
SELECT 1 FROM workflow.pack p WHERE p.ref = $1
