-- Finds up to $1 tasks that are due ($2), earliest first, and locks their workflow executions unless someone else has.
-- $3: the parts, which lie between $4 and $5: the index contains the part, so tasks due in other parts do not require
-- access to their rows. Two kinds of tasks must not take the place of others: those driven from outside, which stay due
-- until their owner handles them, and those of an execution that someone else has locked.
SELECT t.id FROM workflow.workflow_task_execution t
JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
WHERE t.due_at <= $2 AND t.part BETWEEN $4 AND $5 AND ($3::int[] IS NULL OR t.part = ANY ($3)) AND w.version IS NOT NULL
ORDER BY t.due_at, t.id LIMIT $1 FOR NO KEY UPDATE OF w SKIP LOCKED
