-- Time: what becomes due by itself. Any worker's loop calls workflow_tick; nothing else needs a clock.

CREATE FUNCTION workflow.wake_tasks(max_rows int, now timestamptz, parts int[]) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  due bigint[];
  locked bigint[];
  children bigint[];
  own bigint[];
  late workflow.outcome[];
  woken int;
BEGIN
  SELECT array_agg(d.id) INTO due
  FROM (SELECT t.id FROM workflow.workflow_task_execution t
        WHERE t.due_at <= now AND (parts IS NULL OR t.part = ANY (parts))
          -- What is driven from outside stays due until its master sees to it: it must not take the place of others.
          AND EXISTS (SELECT FROM workflow.workflow_execution w
                      WHERE w.part = t.part AND w.id = t.workflow_execution AND w.version IS NOT NULL)
        ORDER BY t.part, t.due_at, t.id LIMIT max_rows) AS d;
  IF due IS NULL THEN
    RETURN 0;
  END IF;
  locked := workflow.lock_runs(due);
  -- A delay is over: claimable, unless the execution is paused. A retry counts now that it is dispatched. What no worker
  -- does, the engine goes on with; also where a former call had too much of that.
  WITH woken AS (
    UPDATE workflow.workflow_task_execution t
    SET status = 'scheduled', due_at = NULL, next_retry_at = NULL, updated = now,
        retry_count = t.retry_count + CASE WHEN t.next_retry_at IS NULL THEN 0 ELSE 1 END,
        queue_at = CASE WHEN NOT w.paused AND t.action_ref IS NOT NULL AND NOT t.calls THEN now - t.priority * interval '1 minute' END
    FROM unnest(due) AS o(id), workflow.workflow_execution w
    WHERE t.part = (o.id >> 48)::int AND t.id = o.id AND t.due_at <= now
      AND (t.status = 'requested' OR (t.status = 'scheduled' AND t.started_at IS NULL))
      AND w.part = t.part AND w.id = t.workflow_execution AND w.id = ANY (locked)
    RETURNING t.id, t.calls OR t.action_ref IS NULL AS own)
  SELECT count(*), array_agg(w.id) FILTER (WHERE w.own) INTO woken, own FROM woken w;
  IF own IS NOT NULL THEN
    PERFORM workflow.dispatch(own, locked, now);
  END IF;
  -- A time limit is over: the task ends as timed out, whoever works on it; what was due first, first. A child that does its
  -- work must be free, too, to be stopped.
  children := ARRAY(
    WITH free AS MATERIALIZED (
      SELECT w.id, w.execution, w.state FROM workflow.workflow_execution w
      WHERE (w.part, w.execution) IN (
        SELECT t.part, t.execution FROM unnest(due) AS o(id)
        JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id
        WHERE t.calls AND t.status = 'running' AND t.due_at <= now)
      FOR NO KEY UPDATE SKIP LOCKED)
    SELECT f.execution FROM free f WHERE workflow.may_count(f.id, f.state));
  SELECT array_agg(ROW(t.id, t.lease, 'timeout', NULL, jsonb_build_object('type', 'timeout', 'message',
    format(CASE WHEN t.signal IS NULL THEN 'the task ran longer than %s seconds' ELSE 'no signal %2$s came within %1$s seconds' END,
      t.timeout_seconds, t.signal)), NULL, NULL)::workflow.outcome ORDER BY t.due_at, t.id) INTO late
  FROM unnest(due) AS o(id)
  JOIN workflow.workflow_task_execution t ON t.part = (o.id >> 48)::int AND t.id = o.id
  WHERE t.due_at <= now AND (t.status = 'running' OR (t.status = 'scheduled' AND t.signal IS NOT NULL))
    AND t.workflow_execution = ANY (locked) AND (NOT t.calls OR t.execution = ANY (children));
  IF late IS NOT NULL THEN
    PERFORM workflow.end_tasks(late, now);
    woken := woken + cardinality(late);
  END IF;
  RETURN woken;
END $$;
COMMENT ON FUNCTION workflow.wake_tasks(int, timestamptz, int[]) IS
  'Up to max_rows tasks whose delay, retry delay or time limit is over; gives how many. Reads one index page where none is.';
REVOKE ALL ON FUNCTION workflow.wake_tasks(int, timestamptz, int[]) FROM PUBLIC;

CREATE FUNCTION workflow.do_due_run(execution_id bigint, now timestamptz) RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'workflow_do_due_run_wrapper';
COMMENT ON FUNCTION workflow.do_due_run(bigint, timestamptz) IS
  'What is due of an execution, whose workflow execution is locked: it times out; or, where it has ended or stopped, its parent or its children hear of it. False: they are busy still.';
REVOKE ALL ON FUNCTION workflow.do_due_run(bigint, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.do_due_runs(max_rows int, now timestamptz, parts int[]) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  due bigint[];
  one bigint;
  done int := 0;
BEGIN
  due := ARRAY(
    WITH free AS MATERIALIZED (
      SELECT w.id, w.execution, w.state FROM workflow.workflow_execution w
      WHERE w.due_at <= now AND (parts IS NULL OR w.part = ANY (parts)) AND w.version IS NOT NULL
      ORDER BY w.part, w.due_at, w.id LIMIT max_rows FOR NO KEY UPDATE SKIP LOCKED)
    SELECT f.execution FROM free f WHERE workflow.may_count(f.id, f.state));
  FOREACH one IN ARRAY due LOOP
    done := done + workflow.do_due_run(one, now)::int;
  END LOOP;
  RETURN done;
END $$;
COMMENT ON FUNCTION workflow.do_due_runs(int, timestamptz, int[]) IS
  'Up to max_rows executions that took longer than their workflow''s timeout, or have yet to tell a parent or children that they stopped; gives how many. Reads one index page where there is none.';
REVOKE ALL ON FUNCTION workflow.do_due_runs(int, timestamptz, int[]) FROM PUBLIC;

CREATE FUNCTION workflow.tick(max_rows int, parts int[]) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
  now timestamptz := workflow.now();
  queued text[];
  done int;
BEGIN
  IF max_rows IS NULL OR max_rows < 1 OR max_rows > 10000 THEN
    PERFORM workflow.raise_error('WF613', 'max_rows is out of range', format('max_rows is %s', coalesce(max_rows::text, 'null')), 'give 1 to 10000');
  END IF;
  PERFORM workflow.check_parts(parts);
  IF current_setting('pg_workflow.notify', true) = 'on' THEN
    queued := workflow.queued_actions(parts);
  END IF;
  done := workflow.expire_leases(max_rows, now, parts) + workflow.wake_tasks(max_rows, now, parts)
    + workflow.do_due_runs(max_rows, now, parts) + workflow.fire_schedules(max_rows, now, parts);
  IF queued IS NOT NULL AND done > 0 THEN
    PERFORM workflow.notify_queued(queued, parts);
  END IF;
  RETURN done;
END $$;
COMMENT ON FUNCTION workflow.tick(int, int[]) IS 'workflow_tick, in any parts.';
REVOKE ALL ON FUNCTION workflow.tick(int, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_tick(max_rows int DEFAULT 1000, parts int[] DEFAULT NULL) RETURNS int
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_tick_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_tick(int, int[]) IS
  'Does what time has made due, up to max_rows (1 to 10000) of each kind: leases that have ended, delays, retries, time limits of tasks, waits and workflows, starts by schedules, and ends of sub-workflows that their parents were too busy to hear of. parts: where to look; null: everywhere, or where the role is bound to. Gives how much it did: call again while that is not 0. Safe to call from anywhere, at any rate, by many at once. Errors: WF613 for an argument out of range, WF620 where the role is bound to other parts.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_tick(int, int[]) FROM PUBLIC;
