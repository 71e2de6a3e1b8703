-- Lists what is currently held ($1), apart from limits.
SELECT DISTINCT h.target, h.name FROM workflow.hold h
WHERE h.target IN ('action', 'workflow', 'everything') AND h.key = '' AND h.until > $1
