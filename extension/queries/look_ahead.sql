-- Which of the actions of new tasks ($1) are workflows. And does a task of a worker's actions ($3) have a place in the queue of a
-- part ($2) before this one ($4), and not before that ($5, $6)? One probe for each action.
SELECT ARRAY(SELECT a.ref FROM workflow.action a WHERE a.ref = ANY ($1) AND a.is_workflow),
       EXISTS (SELECT FROM unnest($3::text[]) AS o(ref)
               CROSS JOIN LATERAL (
                 SELECT FROM workflow.workflow_task_execution t
                 WHERE t.part = $2 AND t.action_ref = o.ref AND (t.queue_at, t.id) >= ($5, $6) AND t.queue_at < $4 LIMIT 1) AS waiting)
