-- Reports the tasks in hand (none at first), and claims the next :n.
SELECT coalesce(array_agg(ROW(task, lease_token, 'completed', :result::jsonb, NULL, NULL, NULL, NULL, NULL)::workflow.outcome), '{}') AS outcomes,
  count(input) AS np
FROM workflow_finish_and_claim(:client_id::text, :outcomes::workflow.outcome[], :n::int, ARRAY['bench.step'])
WHERE state = 'claimed' \gset
