-- Lists problems, one per row: a run completes everything it claims.
SELECT format('%s tasks are claimed and not completed', count(*)) FROM q WHERE state = 1 HAVING count(*) > 0
UNION ALL
SELECT format('%s completed tasks have no result', count(*)) FROM q WHERE state = 2 AND result IS NULL HAVING count(*) > 0;
