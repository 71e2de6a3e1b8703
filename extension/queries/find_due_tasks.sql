-- Tasks whose time has come ($2), up to $1, what was due first first; their workflow executions locked where nobody else has
-- them. $3: the parts, which lie between $4 and $5: the index knows the part, so that what is due in others costs no look at its
-- rows. Neither what is driven from outside, which stays due until its owner sees to it, nor what belongs to an execution that
-- somebody else has locked may take the place of others.
SELECT t.id FROM workflow.workflow_task_execution t
JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
WHERE t.due_at <= $2 AND t.part BETWEEN $4 AND $5 AND ($3::int[] IS NULL OR t.part = ANY ($3)) AND w.version IS NOT NULL
ORDER BY t.due_at, t.id LIMIT $1 FOR NO KEY UPDATE OF w SKIP LOCKED
