-- Records for limits ($1), unless someone else has locked them, which transactions may not have seen them: those that have begun by
-- now, with a number below $3. Limits in $2 are counted once no running task without a slot is left.
UPDATE workflow.limit_rule r
SET count_from = CASE WHEN r.count_from = '0' THEN $3::bigint::text::xid8 END
FROM (SELECT o.name FROM workflow.limit_rule o WHERE o.name = ANY ($1) FOR NO KEY UPDATE SKIP LOCKED) AS free
WHERE r.name = free.name
  AND (r.count_from = '0' OR r.name = ANY ($2) AND NOT EXISTS (
    SELECT FROM workflow.workflow_task_execution t
    CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(t.limits) AS o(pair)
    WHERE t.status = 'running' AND t.limits IS NOT NULL AND o.pair ->> 0 = r.name
      AND NOT EXISTS (SELECT FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
                      WHERE s.task = t.id AND k.limit_name = r.name AND k.key = o.pair ->> 1)))
