-- Claims :n tasks.
SELECT coalesce(array_agg(task), '{}') AS tasks, coalesce(array_agg(lease_token), '{}') AS leases, count(input) AS np
FROM workflow_claim(:client_id::text, :n::int, ARRAY['bench.step']) \gset
