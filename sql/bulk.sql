-- Applies one action to many executions in a single call, with an answer for each.
--
-- The executions and their callers are locked first, in the global order (workflow.lock_executions). The executions they call are
-- locked only if nobody else has locked them; workflow_tick reaches the rest. So such a call never waits against the lock order.
-- Each execution then gets a savepoint of its own, so that a refusal does not affect the others.

CREATE FUNCTION workflow.lock_executions(executions bigint[], wait boolean) RETURNS SETOF bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_lock_executions_wrapper';
COMMENT ON FUNCTION workflow.lock_executions(bigint[], boolean) IS
  'Locks executions and their callers, in the global order. If wait is false, returns those that could not be locked, or whose callers could not.';
REVOKE ALL ON FUNCTION workflow.lock_executions(bigint[], boolean) FROM PUBLIC;

CREATE FUNCTION workflow.control_locked(execution_id bigint, action text, reason text, force boolean) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_control_locked_wrapper';
COMMENT ON FUNCTION workflow.control_locked(bigint, text, text, boolean) IS
  'Pauses, resumes or cancels an execution that has been locked together with its callers, without waiting for the executions it calls.';
REVOKE ALL ON FUNCTION workflow.control_locked(bigint, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION workflow.rerun_locked(execution_id bigint, tasks text[], reset_items boolean, reason text) RETURNS workflow.execution_status
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_rerun_locked_wrapper';
COMMENT ON FUNCTION workflow.rerun_locked(bigint, text[], boolean, text) IS
  'Reruns an execution that has been locked together with its callers, without waiting for the executions it called.';
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
      -- A failure to archive one execution must not stop the others.
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
  'Deletes the given executions, and answers for each; refuses any that have not ended or that another execution calls.';
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
        -- Either the caller must repeat the whole call, or the server has a problem unrelated to this execution.
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
  'Applies an action (pause, resume, cancel, rerun, signal or prune) to each of the given executions, and answers once for each; a refusal does not affect the others. If wait is false, executions that another session has locked are refused with 55P03.';
REVOKE ALL ON FUNCTION workflow.do_each(bigint[], text, jsonb, boolean) FROM PUBLIC;

CREATE FUNCTION workflow.answer_each(executions bigint[], action text, arguments jsonb)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM workflow.require('executions', executions);
  IF array_ndims(executions) > 1 THEN
    PERFORM workflow.raise_error('WF613', 'executions must be a one-dimensional array', format('It has %s dimensions.', array_ndims(executions)), 'Pass a one-dimensional array.');
  ELSIF cardinality(executions) > 1000 THEN
    PERFORM workflow.raise_error('WF614', 'too many executions', format('There are %s.', cardinality(executions)),
      'Pass at most 1000 per call, or let workflow_apply find and process them.');
  ELSIF octet_length(arguments ->> 'reason') > 10000 THEN
    PERFORM workflow.raise_error('WF613', 'reason is too long', format('It has %s bytes.', octet_length(arguments ->> 'reason')), 'Pass at most 10000 bytes.');
  END IF;
  RETURN QUERY
  SELECT g.id, a.answer, coalesce(a.code, CASE WHEN g.id IS NULL THEN 'WF613' END), coalesce(a.message, CASE WHEN g.id IS NULL THEN 'WF613: execution is null' END)
  FROM unnest(executions) WITH ORDINALITY AS g(id, place)
  LEFT JOIN workflow.do_each(executions, action, arguments, true) AS a ON a.execution = g.id
  ORDER BY g.place;
END $$;
COMMENT ON FUNCTION workflow.answer_each(bigint[], text, jsonb) IS
  'Applies an action to up to 1000 executions, like workflow.do_each, and returns one answer per element, in order.';
REVOKE ALL ON FUNCTION workflow.answer_each(bigint[], text, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_pause_many(executions bigint[], reason text DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'pause', jsonb_build_object('reason', reason)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_pause_many(bigint[], text) IS
  'Pauses up to 1000 executions, like workflow_pause. answer is the status. Each execution is processed separately: if it is refused, code and message say why (otherwise they are null), and the others are not affected. Returns one row per element, in order; a repeated element is processed once. Waits for locked executions, in the engine''s lock order; called executions that are locked follow at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_pause_many(bigint[], text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume_many(executions bigint[], reason text DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'resume', jsonb_build_object('reason', reason)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_resume_many(bigint[], text) IS
  'Resumes up to 1000 executions, like workflow_resume. answer is the status. Each execution is processed separately: if it is refused, code and message say why (otherwise they are null), and the others are not affected. Returns one row per element, in order; a repeated element is processed once. Waits for locked executions, in the engine''s lock order; called executions that are locked follow at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume_many(bigint[], text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_cancel_many(executions bigint[], reason text DEFAULT NULL, force boolean DEFAULT false)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'cancel', jsonb_build_object('reason', reason, 'force', force)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_cancel_many(bigint[], text, boolean) IS
  'Cancels up to 1000 executions, like workflow_cancel. answer is the status. Each execution is processed separately: if it is refused, code and message say why (otherwise they are null), and the others are not affected. Returns one row per element, in order; a repeated element is processed once. Waits for locked executions, in the engine''s lock order; called executions that are locked follow at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_cancel_many(bigint[], text, boolean) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_rerun_many(executions bigint[], tasks text[] DEFAULT NULL, reset_items boolean DEFAULT false, reason text DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'rerun', jsonb_build_object('tasks', tasks, 'reset_items', reset_items, 'reason', reason)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_rerun_many(bigint[], text[], boolean, text) IS
  'Reruns up to 1000 executions, like workflow_rerun. tasks: the tasks to rerun in each of them, from their newest run. answer is the status. Each execution is processed separately: if it is refused, code and message say why (otherwise they are null), and the others are not affected. Returns one row per element, in order; a repeated element is processed once. Waits for locked executions, in the engine''s lock order; called executions that are locked follow at the next workflow_tick. Errors of the call itself: WF613 for null or a reason that is too long, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_rerun_many(bigint[], text[], boolean, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_signal_many(executions bigint[], name text, payload jsonb DEFAULT NULL, key text DEFAULT NULL, error jsonb DEFAULT NULL)
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'signal', CASE WHEN payload IS NULL THEN '{}' ELSE jsonb_build_object('payload', payload) END
    || CASE WHEN error IS NULL THEN '{}' ELSE jsonb_build_object('error', error) END || jsonb_build_object('name', name, 'key', key)) AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_signal_many(bigint[], text, jsonb, text, jsonb) IS
  'Sends a signal to up to 1000 executions, like workflow_signal. answer is delivered or kept. Each execution is processed separately: if it is refused, code and message say why (otherwise they are null), and the others are not affected. Returns one row per element, in order; a repeated element is processed once. Waits for locked executions, in the engine''s lock order; called executions that are locked follow at the next workflow_tick. Errors of the call itself: WF613 for null, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_signal_many(bigint[], text, jsonb, text, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_prune_many(executions bigint[])
RETURNS TABLE (execution bigint, answer text, code text, message text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1000 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT a.* FROM workflow.answer_each(executions, 'prune', '{}') AS a;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_prune_many(bigint[]) IS
  'Deletes up to 1000 executions that have ended, with everything that belongs to them. answer is pruned. Executions are refused if they have not ended or another execution calls them (WF611), if they do not exist (WF616), or if another session has locked them (55P03, without waiting). Returns one row per element, in order; a repeated element is processed once. Errors of the call itself: WF613 for null, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_prune_many(bigint[]) FROM PUBLIC;
