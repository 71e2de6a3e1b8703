-- Reports what is in hand, nothing at first, and takes the next :n tasks.
SELECT coalesce(array_agg(task) FILTER (WHERE state = 'claimed'), '{}') AS tasks,
  coalesce(array_agg(lease_token) FILTER (WHERE state = 'claimed'), '{}') AS leases, count(input) AS np
FROM workflow_finish_and_claim(:client_id::text,
  (SELECT coalesce(array_agg(ROW(o.task, o.lease, 'completed', :result::jsonb, NULL, NULL, NULL)::workflow.outcome), '{}')
   FROM unnest(:tasks::bigint[], :leases::bigint[]) AS o(task, lease)),
  :n::int, ARRAY['bench.step']) \gset
