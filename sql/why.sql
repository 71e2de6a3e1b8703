-- Explains in words what an execution is waiting for, one row per reason, with what can be done about it.

CREATE FUNCTION workflow.say_closed(run workflow.workflow_execution) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT format('closing tasks have run (%s): make sure that the execution can continue after them; ', array_to_string(c.tasks[1:20], ', '))
    FROM workflow.closing_tasks(run) AS c(tasks) WHERE c.tasks <> '{}');
END $$;
COMMENT ON FUNCTION workflow.say_closed(workflow.workflow_execution) IS
  'Returns the beginning of a hint on continuing an execution: the tasks that have closed it, up to 20, or null if none has run.';
REVOKE ALL ON FUNCTION workflow.say_closed(workflow.workflow_execution) FROM PUBLIC;

CREATE FUNCTION workflow.say_not_rerun(run workflow.workflow_execution) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  called workflow.workflow_execution := run;
  call workflow.workflow_task_execution;
  above workflow.execution_status;
  caller workflow.workflow_execution;
  rule_above text;
BEGIN
  WHILE called.depth > 0 LOOP
    SELECT t.* INTO call FROM workflow.workflow_task_execution AS t WHERE t.part = called.part AND t.execution = called.id AND t.calls;
    IF call.undoes IS NULL AND called.id = run.id AND run.state #>> '{undo,phase}' IN ('failed', 'stopped') THEN
      RETURN NULL;  -- Only its undo continues.
    ELSIF call.id IS NULL OR call.undoes IS NULL AND EXISTS (
      SELECT FROM workflow.workflow_task_execution AS t
      WHERE t.part = call.part AND t.workflow_execution = call.workflow_execution
        AND t.task_name = call.task_name AND t.route = call.route AND t.visit > call.visit) THEN
      RETURN CASE WHEN called.id = run.id THEN 'its caller has continued without it'
        ELSE format('the caller of execution %s, through which it was called, has continued without that execution', called.id) END;
    END IF;
    SELECT e.status INTO above FROM workflow.execution AS e WHERE e.part = run.part AND e.id = call.workflow_execution;
    IF NOT workflow.is_end(above) OR above = 'completed' THEN
      RETURN format('it was called by execution %s, which has continued without it: SELECT * FROM workflow_why(%s)', call.workflow_execution, call.workflow_execution);
    END IF;
    SELECT w.* INTO caller FROM workflow.workflow_execution AS w WHERE w.part = run.part AND w.id = call.workflow_execution;
    IF caller.state #>> '{undo,phase}' = 'done' THEN
      RETURN format('it was called by execution %s, which has undone its completed tasks: start a new execution', caller.id);
    ELSIF caller.state #>> '{undo,phase}' IN ('failed', 'stopped') THEN
      IF call.undoes IS NULL THEN
        RETURN format('it was called by execution %s, which can only continue its undo: SELECT * FROM workflow_why(%s)', caller.id, caller.id);
      END IF;
    ELSE
      rule_above := (SELECT v.definition ->> 'rerun' FROM workflow.workflow_definition_version AS v WHERE v.id = caller.version);
      IF rule_above = 'never' OR (rule_above = 'not_after_closing' AND workflow.closing_tasks(caller) <> '{}') THEN
        RETURN format('it was called by execution %s, which cannot be rerun, because its workflow has rerun: %s', caller.id, rule_above);
      END IF;
    END IF;
    called := caller;
  END LOOP;
  RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow.say_not_rerun(workflow.workflow_execution) IS
  'Returns why an execution that others have called cannot be rerun because of one of them, as a hint; null: they do not prevent it.';
REVOKE ALL ON FUNCTION workflow.say_not_rerun(workflow.workflow_execution) FROM PUBLIC;

CREATE FUNCTION workflow.say_rerun(run workflow.workflow_execution, before text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  rule text := (SELECT v.definition ->> 'rerun' FROM workflow.workflow_definition_version AS v WHERE v.id = run.version);
  hindrance text := workflow.say_not_rerun(run);
BEGIN
  IF hindrance IS NOT NULL THEN
    RETURN hindrance;
  END IF;
  IF run.state #>> '{undo,phase}' = 'done' THEN
    RETURN 'its completed tasks have been undone, so it cannot be rerun: start a new execution';
  ELSIF run.state #>> '{undo,phase}' IN ('failed', 'stopped') THEN
    RETURN format('fix the cause, then SELECT workflow_rerun(%s), which continues the undo; or undo the tasks by hand, and call workflow_resolve(task) for each undo that has failed (see workflow_list_tasks(%s))', run.id, run.id);
  ELSIF rule = 'never' OR (rule = 'not_after_closing' AND workflow.closing_tasks(run) <> '{}') THEN
    RETURN format('it cannot be rerun, because its workflow has rerun: %s; start a new execution', rule);
  END IF;
  RETURN concat(workflow.say_closed(run), before, format(CASE WHEN run.state ?| '{failures, staged, resolved}' THEN 'SELECT workflow_rerun(%s)'
    ELSE 'SELECT workflow_rerun(%s, ARRAY[…]) with the tasks to start from' END, run.id));
END $$;
COMMENT ON FUNCTION workflow.say_rerun(workflow.workflow_execution, text) IS
  'Returns a hint on how to continue an execution that has ended without success: the tasks that closed it, the given text, and the call.';
REVOKE ALL ON FUNCTION workflow.say_rerun(workflow.workflow_execution, text) FROM PUBLIC;

CREATE FUNCTION workflow.say_undone(run workflow.workflow_execution) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN CASE run.state #>> '{undo,phase}'
    WHEN 'pending' THEN '; then its completed tasks will be undone'
    WHEN 'running' THEN '; its completed tasks are being undone'
    WHEN 'done' THEN '; its completed tasks have been undone'
    WHEN 'failed' THEN '; not all of its completed tasks could be undone'
    WHEN 'stopped' THEN '; undoing its completed tasks was stopped by force' END;
END $$;
COMMENT ON FUNCTION workflow.say_undone(workflow.workflow_execution) IS
  'Returns the end of a sentence about how far an execution has undone its completed tasks, or null if there is nothing to say.';
REVOKE ALL ON FUNCTION workflow.say_undone(workflow.workflow_execution) FROM PUBLIC;

CREATE FUNCTION workflow.why_ended(run workflow.workflow_execution, status workflow.execution_status, since timestamptz)
RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last workflow.event;
BEGIN
  IF status = 'completed' THEN
    RETURN QUERY SELECT format('it completed at %s', workflow.say_time(since)), NULL::text;
  ELSIF status = 'cancelled' THEN
    SELECT e.* INTO last FROM workflow.event e
    WHERE e.part = run.part AND e.execution = run.id AND e.kind = 'cancel' ORDER BY e.id DESC LIMIT 1;
    RETURN QUERY SELECT format('it was cancelled%s%s%s, and ended at %s%s', ' at ' || workflow.say_time(last.created), ' by ' || last.author,
        ' (' || last.message || ')', workflow.say_time(since), workflow.say_undone(run)),
      workflow.say_rerun(run, 'to continue it anyway: ');
  ELSE
    RETURN QUERY SELECT concat(format('it %s at %s', CASE status WHEN 'timeout' THEN 'timed out' ELSE status::text END, workflow.say_time(since)),
        ': ' || run.error_message, workflow.say_undone(run)),
      workflow.say_rerun(run, 'fix the cause, then ');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_ended(workflow.workflow_execution, workflow.execution_status, timestamptz) IS 'Explains how an execution ended, and how it can be continued.';
REVOKE ALL ON FUNCTION workflow.why_ended(workflow.workflow_execution, workflow.execution_status, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_waiting(run workflow.workflow_execution, now timestamptz) RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  k workflow.limit_key;
  r workflow.limit_rule;
  h workflow.hold;
  before bigint;
  deadlock record;
  ref text := (SELECT d.ref FROM workflow.workflow_definition d WHERE d.id = run.workflow_def);
  what text := format('is waiting for the concurrency of %s', ref) || coalesce(', key ' || left(nullif(run.concurrency_key, ''), 200), '');
BEGIN
  SELECT o.* INTO k FROM workflow.limit_key o WHERE o.id = run.limit_key;
  SELECT o.* INTO r FROM workflow.limit_rule o WHERE o.name = k.limit_name;
  SELECT o.* INTO h FROM workflow.limit_hold(k.limit_name, k.key, now) o;
  IF run.limit_key IS NULL THEN
    RETURN QUERY SELECT CASE WHEN run.due_at > now + interval '5 seconds' THEN format('starts at %s, and then %s', workflow.say_time(run.due_at), what)
        ELSE format('%s: the next workflow_tick checks whether it can start', what) END, 'SELECT workflow_tick()';
  ELSIF h.id IS NOT NULL THEN
    RETURN QUERY SELECT format('%s, which is %s', what, workflow.say_hold(h)),
      format('SELECT workflow_release(%L%s)', h.name, ', key => ' || quote_literal(nullif(h.key, '')));
  ELSIF r.name IS NULL THEN
    RETURN QUERY SELECT format('%s, which the workflow no longer has: the next claim or workflow_tick lets it start', what), 'SELECT workflow_tick()';
  ELSE
    SELECT count(*) INTO before FROM (
      SELECT FROM workflow.workflow_execution o
      WHERE o.limit_key = run.limit_key AND (o.limit_place, o.id) < (run.limit_place, run.id) LIMIT 10000) AS first;
    SELECT d.execution, d.hint INTO deadlock FROM workflow.find_deadlock(k.id, now) AS d;
    RETURN QUERY SELECT format('%s: %s of %s running, %s ahead of it%s', what,
        (SELECT count(*) FROM workflow.limit_slot s WHERE s.key = k.id AND s.task IS NOT NULL), r.max_running,
        CASE WHEN before = 10000 THEN 'at least 10000' ELSE before::text END, workflow.say_deadlock(deadlock.execution)),
      coalesce(deadlock.hint, format('raise concurrency.max in the definition of %s', ref));
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_waiting(workflow.workflow_execution, timestamptz) IS
  'Explains what an execution is waiting for that has not begun because its workflow has reached its maximum concurrency.';
REVOKE ALL ON FUNCTION workflow.why_waiting(workflow.workflow_execution, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_whole(run workflow.workflow_execution, now timestamptz) RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last workflow.event;
  pending bigint;
  since timestamptz;
  holder int;
  by_whom text;
BEGIN
  SELECT e.* INTO last FROM workflow.event e
  WHERE e.part = run.part AND e.execution = run.id AND e.kind = CASE run.status WHEN 'canceling' THEN 'cancel' ELSE 'pause' END
  ORDER BY e.id DESC LIMIT 1;
  by_whom := concat(' at ' || workflow.say_time(last.created), ' by ' || last.author);
  IF run.status = 'canceling' THEN
    RETURN QUERY SELECT format('it was cancelled%s%s, and is ending: running tasks may finish, and closing tasks run%s', by_whom, ' (' || last.message || ')', workflow.say_undone(run)),
      format('workers are told at their next heartbeat; to stop it immediately, SELECT workflow_cancel(%s, force => true)', run.execution);
  ELSIF run.status IN ('failed', 'timeout') THEN
    RETURN QUERY SELECT format('it has %s%s; running tasks may finish, and closing tasks run%s', CASE run.status WHEN 'timeout' THEN 'timed out' ELSE 'failed' END,
      ' (' || run.error_message || ')', workflow.say_undone(run)), format('to stop it immediately, SELECT workflow_cancel(%s, force => true)', run.execution);
  ELSIF run.paused THEN
    RETURN QUERY SELECT concat(format('it was paused%s', by_whom), ': ' || run.pause_reason), format('SELECT workflow_resume(%s)', run.execution);
  END IF;
  SELECT count(*), min(p.created) INTO pending, since FROM workflow.pending_report p
  WHERE p.part = run.part AND p.workflow_execution = run.id;
  IF pending > 0 THEN
    -- A prepared transaction has no process.
    SELECT coalesce(l.pid, 0) INTO holder FROM workflow.workflow_execution w
    JOIN pg_locks l ON l.locktype = 'transactionid' AND l.transactionid = w.xmax AND l.granted
    WHERE w.part = run.part AND w.id = run.id LIMIT 1;
    RETURN QUERY SELECT format('reports of %s completed tasks have been pending since %s%s', pending, workflow.say_time(since),
        CASE WHEN holder = 0 THEN ': a prepared transaction has locked the execution' ELSE ': process ' || holder || ' has locked the execution' END),
      CASE WHEN holder = 0 THEN 'SELECT * FROM pg_prepared_xacts' WHEN holder IS NULL THEN 'the next claim or workflow_tick processes them'
        ELSE format('SELECT query, state, xact_start FROM pg_stat_activity WHERE pid = %s', holder) END;
  END IF;
  IF run.limit_place IS NOT NULL THEN
    RETURN QUERY SELECT w.* FROM workflow.why_waiting(run, now) AS w;
  ELSIF run.status = 'running' AND run.due_at <= now THEN
    RETURN QUERY SELECT l.* FROM workflow.workflow_definition_version v
      CROSS JOIN LATERAL workflow.why_late(CASE WHEN v.definition ? 'timeout' THEN 'its timeout ended'
        ELSE 'its caller, or an execution that it called, was due to be notified' END, run.due_at) AS l WHERE v.id = run.version;
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_whole(workflow.workflow_execution, timestamptz) IS 'Explains what is holding up an execution as a whole; returns no row if nothing is.';
REVOKE ALL ON FUNCTION workflow.why_whole(workflow.workflow_execution, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_rows(run workflow.workflow_execution, max_rows int, looks int, now timestamptz)
RETURNS TABLE (task text, why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  whole workflow.execution;
BEGIN
  SELECT e.* INTO whole FROM workflow.execution e WHERE e.part = run.part AND e.id = run.execution;
  IF run.version IS NULL THEN
    RETURN QUERY SELECT NULL::text, format('it is driven from outside, and is %s', run.status),
      'its creator continues it, by calling workflow_update_workflow_execution';
  ELSIF workflow.is_end(whole.status) THEN
    RETURN QUERY SELECT NULL::text, w.why, w.hint FROM workflow.why_ended(run, whole.status, whole.updated) AS w;
  ELSE
    RETURN QUERY
    SELECT w.task, w.why, w.hint FROM (
      SELECT 1 AS kind, 0::bigint AS place, NULL::text AS task, w.why, w.hint FROM workflow.why_whole(run, now) AS w
      UNION ALL
      SELECT 2, (live.task).id, (live.task).task_name, w.why, w.hint FROM (
          SELECT t AS task, row_number() OVER (PARTITION BY t.calls ORDER BY t.id) AS number
          FROM workflow.workflow_task_execution t
          WHERE t.part = run.part AND t.workflow_execution = run.id AND t.task_index IS NULL AND NOT workflow.is_end(t.status)
          ORDER BY t.id LIMIT max_rows) AS live
        CROSS JOIN LATERAL workflow.why_task(live.task, run, CASE WHEN live.number <= looks THEN 1 ELSE 0 END, now) AS w
      UNION ALL
      SELECT 2, i.place, i.task, i.why, i.hint FROM workflow.why_items(run, looks, now) AS i
      UNION ALL
      SELECT 3, 0, j.task, j.why, NULL FROM workflow.why_joins(run) AS j) AS w
    ORDER BY w.kind, w.place, w.task LIMIT max_rows;
    IF NOT FOUND THEN
      RETURN QUERY SELECT NULL::text, 'none of its tasks is in progress, which should be impossible', 'SELECT * FROM workflow_check()';
    END IF;
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_rows(workflow.workflow_execution, int, int, timestamptz) IS
  'Explains what a workflow execution is waiting for, in at least one row and at most max_rows, examining up to looks of its calls.';
REVOKE ALL ON FUNCTION workflow.why_rows(workflow.workflow_execution, int, int, timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_why(execution_id bigint, max_rows int DEFAULT 100) RETURNS TABLE (task text, why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
BEGIN
  RETURN QUERY SELECT w.* FROM workflow.why_rows(run, workflow.page_size(max_rows), 10, workflow.now()) AS w;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_why(bigint, int) IS
  'Explains in words what an execution is waiting for, with a hint on what can be done about it: one row for the whole execution (task is null), one per task that has not ended, and one per join, up to max_rows (1 to 10000). Always returns at least one row. Errors: WF613 for null or max_rows out of range, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_why(bigint, int) FROM PUBLIC;
