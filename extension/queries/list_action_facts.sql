-- Returns which of these actions are workflows, and the limits of those that have any.
SELECT a.ref, a.is_workflow, a.limits FROM workflow.action a WHERE a.ref = ANY ($1) AND (a.is_workflow OR a.limits IS NOT NULL)
