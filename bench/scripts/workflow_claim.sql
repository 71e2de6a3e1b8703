-- Claims :n tasks.
SELECT coalesce(array_agg(ROW(task, lease_token, 'completed', :result::jsonb, NULL, NULL, NULL, NULL, NULL)::workflow.outcome), '{}') AS outcomes,
  count(input) AS np
FROM workflow_claim(:client_id::text, :n::int, ARRAY['bench.step']) \gset
