-- Takes out of the queue of a part what must not begin, from this place ($4, $5) on, where there is such a thing.
SELECT workflow.put_back($1, $2, $3)
FROM (SELECT FROM workflow.workflow_task_execution t
      JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
      WHERE t.part = $1 AND t.action_ref = ANY ($2) AND t.queue_at IS NOT NULL AND (t.queue_at, t.id) >= ($4, $5)
        AND NOT workflow.goes_on_elsewhere(t.xmax) AND workflow.keeps_out(w.status, w.paused, w.state)
      LIMIT 1) AS stray
