-- Helpers of the specs, loaded into each spec's database in addition to the extension.
--
-- Ids in a spec's output are the same each time: reset(), the teardown of every spec, empties the tables that grow with
-- work and restarts their ids. The clock of every session stands still until the session calls at(). Helpers that
-- return no rows are procedures, so that they print nothing.

-- Claimed tasks, by name: the memory of the spec's workers.
CREATE TABLE held (worker text, task_name text, task_index int, task bigint, lease_token bigint, attempt int);

CREATE PROCEDURE reset() LANGUAGE plpgsql AS $$
DECLARE
  name text;
BEGIN
  SET LOCAL client_min_messages = error;
  TRUNCATE workflow.execution, workflow.lease, workflow.limit_key, workflow.limit_slot, workflow.hold, held CASCADE;
  -- Those of definitions stay with them.
  DELETE FROM workflow.limit_rule r WHERE r.name !~ '^@';
  FOREACH name IN ARRAY '{execution, workflow_task_execution, signal}'::text[] LOOP
    PERFORM setval(format('workflow.%I_id_seq', name), 1, false);
  END LOOP;
END $$;

-- Defines a workflow, given the text after its ref, label and version. A spec ends its SQL at the first closing brace,
-- so the text is YAML without braces.
CREATE PROCEDURE define(rest text, ref text DEFAULT 'demo.w') LANGUAGE plpgsql AS $$
BEGIN
  PERFORM workflow_register_action(a) FROM unnest('{demo.a, demo.b, demo.c, demo.d}'::text[]) AS a;
  PERFORM workflow_define(format(E'ref: %s\nlabel: Test\nversion: 1.0.0\n%s', ref, rest));
END $$;

-- Defines a workflow of one task under a ref and a label.
CREATE PROCEDURE define_as(ref text, label text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM workflow_register_action('demo.a');
  PERFORM workflow_define(format(E'ref: %s\nlabel: %s\nversion: 1.0.0\ntasks:\n  - name: one\n    action: demo.a\n', ref, label));
END $$;

-- Sets the session's clock to a number of seconds after the start.
CREATE PROCEDURE at(seconds float8) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('pg_workflow.test_now', ('2026-01-01 00:00:00+00'::timestamptz + seconds * interval '1 second')::text, false);
END $$;

-- Claims for 30 seconds, and remembers the tasks. Returns them, by name.
CREATE FUNCTION claim(worker text, max_tasks int DEFAULT 100) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  names text;
BEGIN
  WITH claimed AS MATERIALIZED (SELECT * FROM workflow_claim(worker, max_tasks)),
  kept AS (
    INSERT INTO held SELECT worker, c.task_name, c.task_index, c.task, c.lease_token, c.attempt FROM claimed c)
  SELECT string_agg(concat_ws(' ', c.task_name, c.task_index), ', ' ORDER BY c.task_name, c.task_index, c.task) INTO names FROM claimed c;
  RETURN coalesce(names, 'nothing');
END $$;

-- Reports the tasks with a name that a worker holds, of all executions, as one batch in ascending or descending order
-- of task. Returns the answers.
CREATE FUNCTION report(worker text, name text, status text, backwards boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  outcomes workflow.outcome[];
BEGIN
  SELECT array_agg(ROW(h.task, h.lease_token, report.status, to_jsonb(h.worker), NULL, NULL, NULL, NULL, NULL)::workflow.outcome
    ORDER BY CASE WHEN backwards THEN -h.task ELSE h.task END)
  INTO outcomes FROM held h WHERE h.worker = report.worker AND h.task_name = report.name;
  RETURN (SELECT string_agg(coalesce(f.state, f.code), ', ') FROM workflow_finish(outcomes) f);
END $$;

-- Reports all tasks that a worker holds as completed and claims the same number, in one call. Returns the answers.
CREATE FUNCTION turn(worker text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  outcomes workflow.outcome[];
  answers text;
BEGIN
  SELECT array_agg(ROW(h.task, h.lease_token, 'completed', NULL, NULL, NULL, NULL, NULL, NULL)::workflow.outcome ORDER BY h.task)
  INTO outcomes FROM held h WHERE h.worker = turn.worker;
  DELETE FROM held h WHERE h.worker = turn.worker;
  WITH answer AS MATERIALIZED (SELECT f.* FROM workflow_finish_and_claim(worker, outcomes, 100) f),
  kept AS (
    INSERT INTO held SELECT worker, a.task_name, a.task_index, a.task, a.lease_token, a.attempt FROM answer a WHERE a.state = 'claimed')
  SELECT string_agg(concat_ws(' ', coalesce(a.state, a.code), a.task_name), ', ' ORDER BY a.state, a.code, a.task_name) INTO answers FROM answer a;
  RETURN coalesce(answers, 'nothing');
END $$;

CREATE FUNCTION complete(worker text, name text, backwards boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN report(worker, name, 'completed', backwards);
END $$;

CREATE FUNCTION fail(worker text, name text, backwards boolean DEFAULT false) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN report(worker, name, 'failed', backwards);
END $$;

-- Returns the states that a heartbeat gets for all tasks that a worker holds.
CREATE FUNCTION heartbeat(worker text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT string_agg(b.state, ', ')
          FROM (SELECT array_agg(h.task ORDER BY h.task) AS tasks, array_agg(h.lease_token ORDER BY h.task) AS tokens
                FROM held h WHERE h.worker = heartbeat.worker) AS all_held
          CROSS JOIN LATERAL workflow_heartbeat(all_held.tasks, all_held.tokens) AS b);
END $$;

-- Returns the state of every execution, with its tasks by name, which are claimable, and how many invariants are
-- broken.
CREATE VIEW truth AS
SELECT e.id, w.status::text || CASE WHEN w.paused THEN ', paused' ELSE '' END AS workflow, e.status AS execution,
  (SELECT string_agg(concat_ws(' ', t.task_name, t.task_index, t.status), ', ' ORDER BY t.task_name, t.task_index, t.id)
   FROM workflow.workflow_task_execution t WHERE t.part = w.part AND t.workflow_execution = w.id) AS tasks,
  (SELECT count(*) FROM workflow.workflow_task_execution t
   WHERE t.part = w.part AND t.workflow_execution = w.id AND t.queue_at IS NOT NULL) AS queued,
  (SELECT count(*) FROM workflow_check()) AS broken
FROM workflow.execution e
JOIN workflow.workflow_execution w ON w.part = e.part AND w.id = e.id
ORDER BY e.id;

-- Every key of a limit, with the names of the tasks that have a slot of it and of those that wait for it, and how many
-- invariants are broken.
CREATE VIEW slots AS
SELECT concat_ws(' ', k.limit_name, nullif(k.key, '')) AS key, r.max_running AS most,
  (SELECT string_agg(t.task_name || ' of ' || t.workflow_execution, ', ' ORDER BY t.id)
   FROM workflow.limit_slot s JOIN workflow.workflow_task_execution t ON t.id = s.task WHERE s.key = k.id) AS running,
  (SELECT string_agg(t.task_name || ' of ' || t.workflow_execution, ', ' ORDER BY t.id)
   FROM workflow.workflow_task_execution t WHERE t.limit_key = k.id) AS waiting,
  (SELECT count(*) FROM workflow_check()) AS broken
FROM workflow.limit_key k LEFT JOIN workflow.limit_rule r ON r.name = k.limit_name
ORDER BY k.limit_name, k.key;

-- Every execution under concurrency: whether it has a slot, or waits, and how many invariants are broken.
CREATE VIEW turns AS
SELECT w.id, w.status, w.limit_place IS NOT NULL AS waits, (SELECT count(*) FROM workflow.limit_slot s WHERE s.task = -w.id) AS slots,
  (SELECT count(*) FROM workflow_check()) AS broken
FROM workflow.workflow_execution w ORDER BY w.id;
