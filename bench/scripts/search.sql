-- make bench-search: a million ended executions of two workflows and three tenants, 2000 of them failed; how long searches take,
-- and how a job about all those that failed for one reason goes, stopped in the middle.
\set ON_ERROR_STOP 1
\pset pager off
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_workflow;
\set executions 1000000
\ir ended_executions.sql
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
