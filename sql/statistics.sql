-- Initial statistics for the planner, before there is any data.
--
-- Every key of a runtime table starts with part, and most databases use a single part. For a table without statistics, the
-- planner assumes that part alone identifies a row, so any index that starts with it looks as good as the right one; and a
-- cached plan keeps using it while the table grows, until autovacuum has analyzed the table. So each table is filled with
-- typical rows, in one part and mostly finished, analyzed, and emptied again: the statistics remain.

INSERT INTO workflow.pack (id, ref, label, version) VALUES (-1, 'statistics', '', '');
INSERT INTO workflow.workflow_definition (id, ref, pack, pack_ref, label, version, definition)
VALUES (-1, 'statistics.w', -1, 'statistics', '', '', '{}');
INSERT INTO workflow.execution (part, id, action_ref, parent, status)
SELECT 0, n, 'statistics.w', CASE WHEN n % 10 = 0 THEN n - 1 END, 'completed' FROM generate_series(1, 400) AS n;
INSERT INTO workflow.workflow_execution (part, id, execution, workflow_def, status)
SELECT 0, n, n, -1, 'completed' FROM generate_series(1, 400) AS n;
INSERT INTO workflow.workflow_task_execution (part, id, workflow_execution, task_name, action_ref, status, lease, queue_at, due_at)
SELECT 0, n, (n + 4) / 5, format('t%s', n % 5), format('statistics.a%s', n % 5), 'completed', (n + 9) / 10,
  CASE WHEN n % 100 = 0 THEN now() - n * interval '1 second' END, CASE WHEN n % 100 = 50 THEN now() + n * interval '1 second' END
FROM generate_series(1, 2000) AS n;
INSERT INTO workflow.branch_change (part, workflow_execution, change, place, name, value)
SELECT 0, (n + 4) / 5, n % 5 + 1, n % 5 + 1, format('v%s', n % 5), '1' FROM generate_series(1, 2000) AS n;
INSERT INTO workflow.signal (part, id, execution, task, name)
SELECT 0, n, n, n, format('s%s', n % 5) FROM generate_series(1, 400) AS n;
INSERT INTO workflow.event (part, id, execution, task, kind)
SELECT 0, n, n, n, 'failed' FROM generate_series(1, 400) AS n;
INSERT INTO workflow.lease (part, id, token, worker, role, expires_from, until, tasks)
SELECT 0, n, n, format('w%s', n % 10), 'statistics', until, until, ARRAY[n]
FROM generate_series(1, 400) AS n, CAST(now() + n * interval '1 second' AS timestamptz) AS until;

ANALYZE workflow.execution, workflow.workflow_execution, workflow.workflow_task_execution, workflow.branch_change, workflow.pending_report, workflow.signal, workflow.event, workflow.lease;

TRUNCATE workflow.execution, workflow.workflow_execution, workflow.workflow_task_execution, workflow.branch_change, workflow.pending_report, workflow.signal, workflow.event, workflow.lease;
DELETE FROM workflow.pack WHERE id = -1;

-- Mark the size as unknown, rather than known to be zero: as if the table had never been analyzed.
UPDATE pg_catalog.pg_class SET relpages = 0, reltuples = -1
WHERE oid = ANY ('{workflow.execution, workflow.workflow_execution, workflow.workflow_task_execution, workflow.signal, workflow.event, workflow.lease}'::regclass[]);
