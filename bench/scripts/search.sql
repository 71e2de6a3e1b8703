-- make bench-search: a million ended executions of two workflows and three tenants, 2000 of them failed; how long searches take,
-- and how a job about all those that failed for one reason goes, stopped in the middle.
\set ON_ERROR_STOP 1
\pset pager off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_workflow;
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
-- Spread among the others.
UPDATE workflow.workflow_execution SET created = '2026-01-01'::timestamptz + id * interval '5000 s';
INSERT INTO workflow.execution (part, id, created, updated, action_ref, status)
SELECT 0, 2000 + n, c.created, c.created + interval '1 s', CASE WHEN n % 4 = 0 THEN 'shop.mail' ELSE 'shop.order' END, 'completed'
FROM generate_series(1, 1000000) AS n, CAST('2026-01-01'::timestamptz + n * interval '10 s' AS timestamptz) AS c(created);
INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, version, created, updated, status, attributes, completed_tasks)
SELECT 0, e.id, e.id, d.id, d.current_version, e.created, e.updated, 'completed', jsonb_build_object('tenant', 't' || e.id % 3, 'order', e.id), '{pay}'
FROM workflow.execution AS e JOIN workflow.workflow_definition AS d ON d.ref = e.action_ref WHERE e.id > 2000;
SELECT setval('workflow.execution_id_seq', 1002000);
SET session_replication_role = origin;
VACUUM ANALYZE;

\timing on
SELECT count(execution) AS found FROM workflow_search();
SELECT count(execution) AS found FROM workflow_search('shop.mail');
SELECT count(execution) AS by_tenant FROM workflow_search(attributes => '{"tenant": "t1"}');
SELECT count(execution) AS by_order FROM workflow_search(attributes => '{"order": 5000}');
SELECT count(execution) AS by_tenant_and_code FROM workflow_search(attributes => '{"tenant": "t1"}', error_code => 'declined', max_rows => 1000);
SELECT count(execution) AS failed FROM workflow_search(statuses => '{failed}', max_rows => 1000);
SELECT count(execution) AS by_message FROM workflow_search(text => 'DECLINED');
SELECT count(execution) AS with_failed_task FROM workflow_search(has_failed_task => true);
SELECT count(execution) AS by_end FROM workflow_search(ended => tstzrange('2026-02-01', '2026-02-02'));
SELECT count(execution) AS of_a_day FROM workflow_search(created => tstzrange('2026-02-01', '2026-02-02'), max_rows => 10000);
SELECT count(execution) AS none_left, count(*) AS cursors FROM workflow_search(statuses => '{running}');

SELECT workflow_apply('rerun', '{"error_code": "declined", "attributes": {"tenant": "t1"}}', '{"reason": "fixed"}') AS job \gset
SELECT workflow_tick();
SELECT workflow_tick();
SELECT workflow_stop_bulk_job(:job);
SELECT status, processed, refused, busy, reached FROM workflow_list_bulk_jobs();
SELECT workflow_resume_bulk_job(:job);
SELECT workflow_tick();
SELECT workflow_tick();
SELECT status, processed, refused, busy, reached FROM workflow_list_bulk_jobs();
SELECT count(*) AS running FROM workflow.workflow_execution WHERE status = 'running';
