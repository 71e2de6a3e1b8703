-- Reports what is in hand, and takes nothing.
SELECT count(*) AS np
FROM workflow_finish(
  (SELECT coalesce(array_agg(ROW(o.task, o.lease, 'completed', :result::jsonb, NULL, NULL, NULL)::workflow.outcome), '{}')
   FROM unnest(:tasks::bigint[], :leases::bigint[]) AS o(task, lease))) \gset
