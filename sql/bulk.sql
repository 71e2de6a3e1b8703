-- Doing the same to many executions in one call, with an answer for each.
--
-- All of them, and what calls them, are locked first, in the global order (workflow.lock_executions). What they call is locked only
-- where nobody else has it; workflow_tick reaches the rest. So a call about many waits only where it keeps to the order. Each
-- execution then has a savepoint of its own: whatever refuses one leaves the others alone.

CREATE FUNCTION workflow.lock_executions(executions bigint[], wait boolean) RETURNS SETOF bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_lock_executions_wrapper';
COMMENT ON FUNCTION workflow.lock_executions(bigint[], boolean) IS
  'Locks executions and those that call them, in the global order. If it is not to wait, returns those that it could not lock, or whose callers it could not.';
REVOKE ALL ON FUNCTION workflow.lock_executions(bigint[], boolean) FROM PUBLIC;

CREATE FUNCTION workflow.control_locked(execution_id bigint, action text, reason text, force boolean) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_control_locked_wrapper';
COMMENT ON FUNCTION workflow.control_locked(bigint, text, text, boolean) IS
  'Pauses, resumes or cancels an execution that is locked with what calls it, without waiting for what it calls.';
REVOKE ALL ON FUNCTION workflow.control_locked(bigint, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION workflow.rerun_locked(execution_id bigint, tasks text[], reset_items boolean, reason text) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_rerun_locked_wrapper';
COMMENT ON FUNCTION workflow.rerun_locked(bigint, text[], boolean, text) IS
  'Reruns an execution that is locked with what calls it, without waiting for what it called.';
REVOKE ALL ON FUNCTION workflow.rerun_locked(bigint, text[], boolean, text) FROM PUBLIC;

CREATE FUNCTION workflow.prune_each(executions bigint[]) RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  locked bigint[];
  one record;
  foreign_parts int[] := workflow.foreign_parts();
BEGIN
  SELECT array_agg(l.id) INTO locked
  FROM (SELECT w.id FROM workflow.workflow_execution AS w
        WHERE (w.part, w.id) IN (SELECT (g.id >> 48)::int, g.id FROM unnest(executions) AS g(id))
        ORDER BY w.part, w.depth, w.id FOR UPDATE SKIP LOCKED) AS l;
  FOR one IN
    SELECT g.id, CASE
        WHEN (g.id >> 48)::int = ANY (foreign_parts) THEN format('WF622: part %s is not on this server', g.id >> 48)
        WHEN e.id IS NULL THEN format('WF616: there is no execution %s', g.id)
        WHEN NOT workflow.is_end(e.status) THEN format('WF611: execution %s has not ended', g.id)
        WHEN e.parent IS NOT NULL THEN format('WF611: execution %s is called by execution %s: prune that one', g.id, e.parent)
        WHEN EXISTS (SELECT FROM workflow.execution AS c WHERE c.part = e.part AND c.parent = e.id AND NOT workflow.is_end(c.status))
          THEN format('WF611: execution %s calls one that has not ended', g.id)
        WHEN w.id IS NOT NULL AND w.id <> ALL (coalesce(locked, '{}')) THEN format('55P03: execution %s is locked by another session', g.id) END AS refusal
    FROM (SELECT DISTINCT u.id FROM unnest(executions) AS u(id) WHERE u.id IS NOT NULL) AS g
    LEFT JOIN workflow.execution AS e ON e.part = (g.id >> 48)::int AND e.id = g.id
    LEFT JOIN workflow.workflow_execution AS w ON w.part = e.part AND w.id = e.id
    ORDER BY g.id
  LOOP
    execution := one.id;
    answer := NULL;
    code := substring(one.refusal FROM '^(\w+): ');
    message := one.refusal;
    IF one.refusal IS NULL THEN
      -- One that cannot be archived keeps no other.
      BEGIN
        PERFORM workflow.delete_executions(ARRAY[one.id]);
        answer := 'pruned';
      EXCEPTION WHEN OTHERS THEN
        code := coalesce(substring(SQLERRM FROM '^(WF\d+): '), SQLSTATE);
        message := SQLERRM;
      END;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION workflow.prune_each(bigint[]) IS
  'Deletes those of some executions that have ended and that no other calls, and answers for each.';
REVOKE ALL ON FUNCTION workflow.prune_each(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.do_each(executions bigint[], action text, arguments jsonb, wait boolean)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  busy bigint[];
  named text[] := CASE WHEN jsonb_typeof(arguments -> 'tasks') = 'array' THEN ARRAY(SELECT jsonb_array_elements_text(arguments -> 'tasks')) END;
  reason text := arguments ->> 'reason';
BEGIN
  IF action = 'prune' THEN
    RETURN QUERY SELECT p.* FROM workflow.prune_each(executions) AS p;
    RETURN;
  END IF;
  busy := ARRAY(SELECT l.id FROM workflow.lock_executions(executions, wait) AS l(id));
  FOR execution IN SELECT DISTINCT g.id FROM unnest(executions) AS g(id) WHERE g.id IS NOT NULL ORDER BY g.id LOOP
    answer := NULL; code := NULL; message := NULL;
    IF execution = ANY (busy) THEN
      code := '55P03';
      message := format('55P03: execution %s is locked by another session', execution);
    ELSE
      BEGIN
        IF action = 'rerun' THEN
          answer := workflow.rerun_locked(execution, named, coalesce((arguments ->> 'reset_items')::boolean, false), reason);
        ELSIF action = 'signal' THEN
          answer := pg_catalog.workflow_signal(execution, arguments ->> 'name', arguments -> 'payload', arguments ->> 'key', arguments -> 'error');
        ELSE
          answer := workflow.control_locked(execution, action, reason, (arguments ->> 'force')::boolean);
        END IF;
      EXCEPTION WHEN OTHERS THEN
        -- The caller repeats the whole call, or the server has a problem that is not this execution's.
        IF SQLSTATE ~ '^(40|53|57|58)' THEN
          RAISE;
        END IF;
        message := SQLERRM;
        code := coalesce(substring(message FROM '^(WF\d+): '), SQLSTATE);
      END;
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
COMMENT ON FUNCTION workflow.do_each(bigint[], text, jsonb, boolean) IS
  'Does something (pause, resume, cancel, rerun, signal, prune) to each of some executions, and answers once for each; one that is refused leaves the others alone. If it is not to wait, executions that somebody else has locked are refused with 55P03.';
REVOKE ALL ON FUNCTION workflow.do_each(bigint[], text, jsonb, boolean) FROM PUBLIC;

CREATE FUNCTION workflow.answer_each(executions bigint[], action text, arguments jsonb)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM workflow.require('executions', executions);
  IF array_ndims(executions) > 1 THEN
    PERFORM workflow.raise_error('WF613', 'an array is multidimensional', format('it has %s', array_ndims(executions)), 'pass a one-dimensional array');
  ELSIF cardinality(executions) > 1000 THEN
    PERFORM workflow.raise_error('WF614', 'too many executions', format('there are %s', cardinality(executions)),
      'pass at most 1000, or let workflow_apply find and process them');
  ELSIF octet_length(arguments ->> 'reason') > 10000 THEN
    PERFORM workflow.raise_error('WF613', 'reason is too long', format('reason has %s bytes', octet_length(arguments ->> 'reason')), 'pass at most 10000 bytes');
  END IF;
  RETURN QUERY
  SELECT g.id, a.answer, coalesce(a.code, CASE WHEN g.id IS NULL THEN 'WF613' END), coalesce(a.message, CASE WHEN g.id IS NULL THEN 'WF613: execution is null' END)
  FROM unnest(executions) WITH ORDINALITY AS g(id, place)
  LEFT JOIN workflow.do_each(executions, action, arguments, true) AS a ON a.execution = g.id
  ORDER BY g.place;
END $$;
COMMENT ON FUNCTION workflow.answer_each(bigint[], text, jsonb) IS
  'Does something to each of up to 1000 executions, like workflow.do_each, and answers for each element, in order.';
REVOKE ALL ON FUNCTION workflow.answer_each(bigint[], text, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_pause_many(executions bigint[], reason text DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'pause', jsonb_build_object('reason', reason)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_pause_many(bigint[], text) IS
  'Pauses up to 1000 executions, like workflow_pause. answer is the status. Each execution is processed by itself: code and message say why one was refused (null: it was not), which leaves the others alone. Returns one row per element, in order; a repeated one is processed once. Waits for executions that are locked, in the order in which the engine locks them; of what they call, what is locked follows at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_pause_many(bigint[], text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume_many(executions bigint[], reason text DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'resume', jsonb_build_object('reason', reason)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_resume_many(bigint[], text) IS
  'Resumes up to 1000 executions, like workflow_resume. answer is the status. Each execution is processed by itself: code and message say why one was refused (null: it was not), which leaves the others alone. Returns one row per element, in order; a repeated one is processed once. Waits for executions that are locked, in the order in which the engine locks them; of what they call, what is locked follows at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume_many(bigint[], text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_cancel_many(executions bigint[], reason text DEFAULT NULL, force boolean DEFAULT false)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'cancel', jsonb_build_object('reason', reason, 'force', force)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_cancel_many(bigint[], text, boolean) IS
  'Cancels up to 1000 executions, like workflow_cancel. answer is the status. Each execution is processed by itself: code and message say why one was refused (null: it was not), which leaves the others alone. Returns one row per element, in order; a repeated one is processed once. Waits for executions that are locked, in the order in which the engine locks them; of what they call, what is locked follows at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_cancel_many(bigint[], text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_rerun_many(executions bigint[], tasks text[] DEFAULT NULL, reset_items boolean DEFAULT false, reason text DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'rerun', jsonb_build_object('tasks', tasks, 'reset_items', reset_items, 'reason', reason)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_rerun_many(bigint[], text[], boolean, text) IS
  'Reruns up to 1000 executions, like workflow_rerun; tasks: in each of them from the newest run of these. answer is the status. Each execution is processed by itself: code and message say why one was refused (null: it was not), which leaves the others alone. Returns one row per element, in order; a repeated one is processed once. Waits for executions that are locked, in the order in which the engine locks them; of what they call, what is locked follows at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_rerun_many(bigint[], text[], boolean, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_signal_many(executions bigint[], name text, payload jsonb DEFAULT NULL, key text DEFAULT NULL, error jsonb DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'signal', CASE WHEN payload IS NULL THEN '{}' ELSE jsonb_build_object('payload', payload) END
    || CASE WHEN error IS NULL THEN '{}' ELSE jsonb_build_object('error', error) END || jsonb_build_object('name', name, 'key', key)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_signal_many(bigint[], text, jsonb, text, jsonb) IS
  'Sends a signal to up to 1000 executions, like workflow_signal. answer is delivered or kept. Each execution is processed by itself: code and message say why one was refused (null: it was not), which leaves the others alone. Returns one row per element, in order; a repeated one is processed once. Waits for executions that are locked, in the order in which the engine locks them; of what they call, what is locked follows at the next workflow_tick. Errors of the call itself: WF613 for null, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_signal_many(bigint[], text, jsonb, text, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_prune_many(executions bigint[])
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'prune', '{}') AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_prune_many(bigint[]) IS
  'Deletes up to 1000 executions that have ended, with everything that belongs to them. answer is pruned. Refused are executions that have not ended or that another calls (WF611), that do not exist (WF616), and, without waiting for them, those that another session has locked (55P03). Returns one row per element, in order; a repeated one is processed once. Errors of the call itself: WF613 for null, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_prune_many(bigint[]) FROM PUBLIC;
