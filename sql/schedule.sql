-- Schedules: recurring starts, by a cron expression in a time zone.
--
-- workflow_tick starts what is due. It locks the schedule's row with SKIP LOCKED, so that only one of several concurrent ticks
-- starts it; and every start has an idempotency key made of the schedule's name and the time it is for, so that there can
-- never be a second start for that time. A start that fails does not fail the tick: the schedule records the reason and waits
-- for its next time.

CREATE FUNCTION workflow.next_due(cron text, time_zone text, after timestamptz) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_next_due_wrapper';
COMMENT ON FUNCTION workflow.next_due(text, text, timestamptz) IS
  'Returns the first time after the given one that matches a cron expression in a time zone, or null if there is none. Raises WF613 if the expression or the time zone is invalid.';
REVOKE ALL ON FUNCTION workflow.next_due(text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.latest_due(cron text, time_zone text, due timestamptz, now timestamptz) RETURNS timestamptz
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_latest_due_wrapper';
COMMENT ON FUNCTION workflow.latest_due(text, text, timestamptz, timestamptz) IS
  'Returns the last time up to now that matches a cron expression, given one that is already due; takes a few steps, however many times have passed.';
REVOKE ALL ON FUNCTION workflow.latest_due(text, text, timestamptz, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.check_parameters(reference text, parameters jsonb) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_check_parameters_wrapper';
COMMENT ON FUNCTION workflow.check_parameters(text, jsonb) IS
  'Raises WF601, WF611, WF616 or WF618, as a start would, if the workflow cannot be started with these parameters.';
REVOKE ALL ON FUNCTION workflow.check_parameters(text, jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.check_schedule(name text, missed text, grace interval) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('name', name);
  PERFORM workflow.require('missed', missed);
  PERFORM workflow.require('grace', grace);
  IF name = '' OR length(name) > 200 THEN
    PERFORM workflow.raise_error('WF613', 'name is empty or too long', format('It has %s characters.', length(name)), 'Use 1 to 200 characters.');
  ELSIF missed NOT IN ('skip', 'once', 'all') THEN
    PERFORM workflow.raise_error('WF613', 'unknown value of missed', format('missed is %s.', quote_literal(left(missed, 100))), 'Use skip, once or all.');
  ELSIF grace < interval '0' OR grace > interval '1000 years' THEN
    PERFORM workflow.raise_error('WF613', 'grace is out of range', format('grace is %s.', grace), 'Use 0 to 1000 years.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_schedule(text, text, interval) IS
  'Raises WF613 if the name, missed or grace of a schedule is null or invalid.';
REVOKE ALL ON FUNCTION workflow.check_schedule(text, text, interval) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_schedule(name text, cron text, ref text, parameters jsonb DEFAULT '{}', time_zone text DEFAULT 'UTC',
  missed text DEFAULT 'once', grace interval DEFAULT '5 minutes', overlap boolean DEFAULT true, priority int DEFAULT 0, part int DEFAULT NULL)
RETURNS SETOF workflow.schedule
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
  first timestamptz;
  home int := coalesce(workflow_schedule.part, workflow.default_part(workflow_schedule.name));
BEGIN
  PERFORM workflow.check_schedule(workflow_schedule.name, workflow_schedule.missed, workflow_schedule.grace);
  PERFORM workflow.require('cron', workflow_schedule.cron);
  PERFORM workflow.require('parameters', workflow_schedule.parameters);
  PERFORM workflow.require('time_zone', workflow_schedule.time_zone);
  PERFORM workflow.require('overlap', workflow_schedule.overlap);
  PERFORM workflow.check_key('cron', workflow_schedule.cron);
  PERFORM workflow.check_start(workflow_schedule.ref, workflow_schedule.priority, home);
  PERFORM workflow.require_part(s.part) FROM workflow.schedule AS s WHERE s.name = workflow_schedule.name;
  first := workflow.next_due(workflow_schedule.cron, workflow_schedule.time_zone, now);
  IF first IS NULL THEN
    PERFORM workflow.raise_error('WF613', 'the cron expression never fires', format('cron is %s.', quote_literal(workflow_schedule.cron)),
      'Use a date that exists, unlike February 30.');
  END IF;
  PERFORM workflow.check_parameters(workflow_schedule.ref, workflow_schedule.parameters);
  INSERT INTO workflow.schedule AS s (name, cron, time_zone, workflow_ref, parameters, missed, grace, overlap, priority, part, next_at, created, updated)
  VALUES (workflow_schedule.name, workflow_schedule.cron, workflow_schedule.time_zone, workflow_schedule.ref, workflow_schedule.parameters,
    workflow_schedule.missed, workflow_schedule.grace, workflow_schedule.overlap, workflow_schedule.priority, home, first, now, now)
  ON CONFLICT ON CONSTRAINT schedule_name_key DO UPDATE
  SET cron = excluded.cron, time_zone = excluded.time_zone, workflow_ref = excluded.workflow_ref, parameters = excluded.parameters,
      missed = excluded.missed, grace = excluded.grace, overlap = excluded.overlap, priority = excluded.priority, part = excluded.part,
      -- A time that has already come stays due, unless the schedule's times have changed.
      next_at = CASE WHEN s.paused THEN NULL
        WHEN (s.cron, s.time_zone) = (excluded.cron, excluded.time_zone) THEN coalesce(s.next_at, excluded.next_at)
        ELSE excluded.next_at END,
      last_error = NULL, updated = excluded.updated
  WHERE (s.cron, s.time_zone, s.workflow_ref, s.parameters, s.missed, s.grace, s.overlap, s.priority, s.part)
    IS DISTINCT FROM (excluded.cron, excluded.time_zone, excluded.workflow_ref, excluded.parameters, excluded.missed, excluded.grace,
      excluded.overlap, excluded.priority, excluded.part);
  RETURN QUERY SELECT s.* FROM workflow.schedule s WHERE s.name = workflow_schedule.name;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_schedule(text, text, text, jsonb, text, text, interval, boolean, int, int) IS
  'Creates a schedule that starts a workflow, with these parameters, whenever a cron expression (minute, hour, day of month, month, day of week) matches the time in time_zone, an IANA time zone. If the name exists, the schedule is replaced, but a pause stays in effect. missed: what to do about times that passed without a tick: skip (drop a start later than grace), once (one start for all of them) or all (one start for each). overlap: if false, nothing is started while the previous execution is still running. priority, part: as for workflow_start; a null part means one of the first pg_workflow.default_parts, chosen by the schedule''s name. Returns the schedule''s row. Errors: WF601 if the parameters are invalid; WF611 if the workflow is disabled; WF613 if an argument is null, malformed or out of range, the cron expression is invalid or never fires, or the time zone is unknown; WF616 if there is no such workflow; WF618 if it is driven from outside; WF622 if the part belongs to another server.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_schedule(text, text, text, jsonb, text, text, interval, boolean, int, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_unschedule(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('name', name);
  PERFORM workflow.require_part(s.part) FROM workflow.schedule AS s WHERE s.name = workflow_unschedule.name;
  DELETE FROM workflow.schedule s WHERE s.name = workflow_unschedule.name;
  RETURN FOUND;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_unschedule(text) IS
  'Deletes a schedule and returns whether it existed; executions it has started continue. Error: WF613 for null.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_unschedule(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_pause_schedule(name text) RETURNS SETOF workflow.schedule
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('name', workflow_pause_schedule.name);
  PERFORM workflow.require_part(s.part) FROM workflow.schedule AS s WHERE s.name = workflow_pause_schedule.name;
  UPDATE workflow.schedule s SET paused = true, updated = now, next_at = NULL
  WHERE s.name = workflow_pause_schedule.name AND NOT s.paused;
  RETURN QUERY SELECT s.* FROM workflow.schedule s WHERE s.name = workflow_pause_schedule.name;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('schedule', 'name', quote_literal(left(workflow_pause_schedule.name, 200)));
  END IF;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_pause_schedule(text) IS
  'Pauses a schedule: it starts nothing until it is resumed; pausing it again changes nothing. Returns its row. Errors: WF613 for null, WF616 if there is no such schedule.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_pause_schedule(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume_schedule(name text) RETURNS SETOF workflow.schedule
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('name', workflow_resume_schedule.name);
  PERFORM workflow.require_part(s.part) FROM workflow.schedule AS s WHERE s.name = workflow_resume_schedule.name;
  UPDATE workflow.schedule s SET paused = false, updated = now, next_at = workflow.next_due(s.cron, s.time_zone, now)
  WHERE s.name = workflow_resume_schedule.name AND s.paused;
  RETURN QUERY SELECT s.* FROM workflow.schedule s WHERE s.name = workflow_resume_schedule.name;
  IF NOT FOUND THEN
    PERFORM workflow.raise_missing('schedule', 'name', quote_literal(left(workflow_resume_schedule.name, 200)));
  END IF;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_resume_schedule(text) IS
  'Resumes a paused schedule: it continues with its next time, and times that passed during the pause are not made up for. Resuming a schedule that is not paused changes nothing. Returns its row. Errors: WF613 for null, WF616 if there is no such schedule.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume_schedule(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_schedule(name text) RETURNS SETOF workflow.schedule
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('name', name);
  RETURN QUERY SELECT s.* FROM workflow.schedule AS s WHERE s.name = name;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_schedule(text) IS
  'Returns the schedule with the given name, or no row. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_schedule(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_schedules(max_rows int DEFAULT 100, after bigint DEFAULT NULL) RETURNS SETOF workflow.schedule
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT s.* FROM workflow.schedule AS s
    WHERE s.id > coalesce(after, 0) ORDER BY s.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_schedules(int, bigint) IS
  'Returns all schedules, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_schedules(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.start_for(reference text, parameters jsonb, keys text[], times timestamptz[], priority int, part int) RETURNS SETOF bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_start_for_wrapper';
COMMENT ON FUNCTION workflow.start_for(text, jsonb, text[], timestamptz[], int, int) IS
  'Starts one execution per time, with that time as system.scheduled_for and the corresponding idempotency key; one that fails immediately is stored as failed. Returns their ids in order.';
REVOKE ALL ON FUNCTION workflow.start_for(text, jsonb, text[], timestamptz[], int, int) FROM PUBLIC;

CREATE FUNCTION workflow.fire_schedule(schedule workflow.schedule, max_rows int, now timestamptz) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- The times to start for, in order, and the first one left for later.
  due timestamptz[];
  ahead timestamptz := schedule.next_at;
  started bigint[];
  trouble text;
  detail text;
BEGIN
  -- Without this block, one broken schedule would make every tick fail.
  BEGIN
    IF schedule.missed = 'all' AND schedule.overlap THEN
      WHILE ahead <= now AND coalesce(cardinality(due), 0) < max_rows LOOP
        due := due || ahead;
        ahead := workflow.next_due(schedule.cron, schedule.time_zone, ahead);
      END LOOP;
    ELSE
      due := ARRAY[workflow.latest_due(schedule.cron, schedule.time_zone, ahead, now)];
      ahead := NULL;
      ahead := workflow.next_due(schedule.cron, schedule.time_zone, due[1]);
    END IF;
    IF schedule.missed = 'skip' AND due[1] < now - schedule.grace THEN
      trouble := format('WF611: missed: the start for %s was not processed until %s', due[1], now);
    ELSIF NOT schedule.overlap AND EXISTS (
      SELECT FROM workflow.execution e
      WHERE e.part = (schedule.last_execution >> 48)::int AND e.id = schedule.last_execution AND NOT workflow.is_end(e.status)) THEN
      trouble := format('WF611: at %s execution %s had not ended yet', due[1], schedule.last_execution);
    ELSE
      SELECT array_agg(s.id ORDER BY s.place) INTO started
      FROM workflow.start_for(schedule.workflow_ref, schedule.parameters,
        ARRAY(SELECT format('schedule %s for %s', schedule.name, to_char(d.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
              FROM unnest(due) WITH ORDINALITY AS d(at, place) ORDER BY d.place),
        due, schedule.priority, schedule.part) WITH ORDINALITY AS s(id, place);
    END IF;
  EXCEPTION WHEN OTHERS THEN
    -- The caller of workflow_tick retries the whole call.
    IF SQLSTATE LIKE '40%' THEN
      RAISE;
    END IF;
    GET STACKED DIAGNOSTICS trouble = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    trouble := left(concat_ws(': ', trouble, nullif(detail, '')), 2000);
    -- A cron expression or time zone that this version can no longer parse has no next time.
    ahead := nullif(ahead, schedule.next_at);
  END;
  UPDATE workflow.schedule s
  SET next_at = ahead, last_error = trouble, updated = now,
      last_at = CASE WHEN trouble IS NULL THEN due[cardinality(due)] ELSE s.last_at END,
      last_execution = CASE WHEN trouble IS NULL THEN coalesce(started[cardinality(started)], s.last_execution) ELSE s.last_execution END
  WHERE s.id = schedule.id;
  RETURN greatest(cardinality(started), 1);
END $$;
COMMENT ON FUNCTION workflow.fire_schedule(workflow.schedule, int, timestamptz) IS
  'Starts the executions of a due schedule, up to max_rows, and sets its next time. Returns the number of executions, or 1 if none could be started.';
REVOKE ALL ON FUNCTION workflow.fire_schedule(workflow.schedule, int, timestamptz) FROM PUBLIC;

