-- Ended executions of two workflows and three tenants, ten seconds apart: as many as :executions, and 2000 that have failed,
-- spread among them.
SELECT ref FROM workflow_register_action('shop.pay');
SELECT ref FROM workflow_define('{ref: shop.order, label: Order, version: 1, tasks: [{name: pay, action: shop.pay}]}');
SELECT ref FROM workflow_define('{ref: shop.mail, label: Mail, version: 1, tasks: [{name: pay, action: shop.pay}]}');

-- Those that fail really do; the others are written as if they had ended.
SELECT count(*) AS started FROM workflow_start_many('shop.order', array_fill('{}'::jsonb, '{2000}'),
  attributes => ARRAY(SELECT jsonb_build_object('tenant', 't' || n % 3) FROM generate_series(1, 2000) AS n));
SELECT count(*) AS failed FROM workflow_finish((
  SELECT array_agg(ROW(c.task, c.lease_token, 'failed', NULL, '{"code": "declined", "message": "card declined"}', false, NULL, NULL, NULL)::workflow.outcome)
  FROM workflow_claim('worker', 2000) AS c));
SET session_replication_role = replica;
UPDATE workflow.workflow_execution SET created = '2026-01-01'::timestamptz + id * (:executions / 2000) * interval '10 s';
INSERT INTO workflow.execution (part, id, created, updated, action_ref, status)
SELECT 0, 2000 + n, c.created, c.created + interval '1 s', CASE WHEN n % 4 = 0 THEN 'shop.mail' ELSE 'shop.order' END, 'completed'
FROM generate_series(1, :executions) AS n, CAST('2026-01-01'::timestamptz + n * interval '10 s' AS timestamptz) AS c(created);
INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, version, created, updated, status, attributes, completed_tasks)
SELECT 0, e.id, e.id, d.id, d.current_version, e.created, e.updated, 'completed', jsonb_build_object('tenant', 't' || e.id % 3, 'order', e.id), '{pay}'
FROM workflow.execution AS e JOIN workflow.workflow_definition AS d ON d.ref = e.action_ref WHERE e.id > 2000;
SELECT setval('workflow.execution_id_seq', :executions + 2000);
SET session_replication_role = origin;
