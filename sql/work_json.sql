-- The work protocol in JSON, for languages without composite types or 64-bit integers: objects in, objects out. Ids and lease
-- tokens are strings, because a JSON number loses the last digits of a large one in many languages.
--
-- These functions only translate, and leave everything else to workflow_finish and workflow_finish_and_claim. An element that
-- cannot be translated is refused individually; the others are processed.

CREATE FUNCTION workflow.interval_of(value jsonb) RETURNS interval
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
  WHEN jsonb_typeof(value) = 'number' AND value::numeric BETWEEN 0 AND 4e9 THEN value::numeric::float8 * interval '1 second'
  WHEN jsonb_typeof(value) = 'string'
    AND value #>> '{}' ~ '^P(?=.)([0-9]{1,6}D)?(T(?=.)([0-9]{1,9}H)?([0-9]{1,9}M)?([0-9]{1,9}(\.[0-9]{1,6})?S)?)?$'
    THEN (value #>> '{}')::interval END;
COMMENT ON FUNCTION workflow.interval_of(jsonb) IS
  'Returns a JSON duration as an interval: a number of seconds, or ISO 8601 without years, months and weeks (PT90S). Null for anything else.';
REVOKE ALL ON FUNCTION workflow.interval_of(jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.flaw_of(outcome jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
  WHEN jsonb_typeof(outcome) IS DISTINCT FROM 'object' THEN 'an outcome must be an object'
  WHEN outcome - '{task,lease_token,status,result,error,may_retry,retry_in,hold_for,progress}'::text[] <> '{}' THEN
    format('an outcome has no field %s', (
      SELECT to_json(left(k, 100)) FROM jsonb_object_keys(outcome - '{task,lease_token,status,result,error,may_retry,retry_in,hold_for,progress}'::text[]) AS k
      LIMIT 1))
  WHEN coalesce(jsonb_typeof(outcome -> 'task') <> 'string' OR outcome ->> 'task' !~ '^[0-9]{1,18}$', true) THEN
    'task must be a string of digits, as it was claimed'
  WHEN coalesce(jsonb_typeof(outcome -> 'lease_token') <> 'string' OR outcome ->> 'lease_token' !~ '^[0-9]{1,18}$', true) THEN
    'lease_token must be a string of digits, as it was claimed'
  WHEN coalesce(outcome ->> 'status' NOT IN ('completed', 'failed', 'timeout', 'abandoned', 'cancelled'), true) THEN
    format('a task cannot end as %s: give completed, failed, timeout, abandoned or cancelled', coalesce(left(outcome ->> 'status', 100), 'null'))
  WHEN jsonb_typeof(outcome -> 'may_retry') NOT IN ('boolean', 'null') THEN 'may_retry must be true, false or null'
  WHEN coalesce(outcome -> 'retry_in', 'null') <> 'null' AND workflow.interval_of(outcome -> 'retry_in') IS NULL THEN
    'retry_in must be a number of seconds, or an ISO 8601 duration such as "PT90S"'
  WHEN coalesce(outcome -> 'hold_for', 'null') <> 'null' AND workflow.interval_of(outcome -> 'hold_for') IS NULL THEN
    'hold_for must be a number of seconds, or an ISO 8601 duration such as "PT90S"'
END;
COMMENT ON FUNCTION workflow.flaw_of(jsonb) IS
  'Returns why an outcome in JSON cannot be read, or null if it can.';
REVOKE ALL ON FUNCTION workflow.flaw_of(jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.check_outcomes(outcomes jsonb) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Raised here, because a worker may not call the other functions that raise errors.
  IF jsonb_typeof(outcomes) IS DISTINCT FROM 'array' THEN
    RAISE EXCEPTION 'WF613: outcomes must be a JSON array' USING ERRCODE = 'invalid_parameter_value',
      DETAIL = format('It is of type %s.', coalesce(jsonb_typeof(outcomes), 'null')), HINT = 'Pass a JSON array of objects.';
  ELSIF jsonb_array_length(outcomes) > 10000 THEN
    RAISE EXCEPTION 'WF614: too many outcomes' USING ERRCODE = 'program_limit_exceeded',
      DETAIL = format('There are %s.', jsonb_array_length(outcomes)), HINT = 'Report at most 10000 outcomes per call.';
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_outcomes(jsonb) IS
  'Raises WF613 if outcomes in JSON are null or not an array, and WF614 if there are more than 10000.';
REVOKE ALL ON FUNCTION workflow.check_outcomes(jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.read_outcomes(outcomes jsonb) RETURNS workflow.outcome[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN ARRAY(
    SELECT ROW((o ->> 'task')::bigint, (o ->> 'lease_token')::bigint, (o ->> 'status')::workflow.execution_status,
      nullif(o -> 'result', 'null'), nullif(o -> 'error', 'null'), (o ->> 'may_retry')::boolean,
      workflow.interval_of(o -> 'retry_in'), workflow.interval_of(o -> 'hold_for'), nullif(o -> 'progress', 'null'))::workflow.outcome
    FROM jsonb_array_elements(outcomes) WITH ORDINALITY AS e (o, place)
    WHERE workflow.flaw_of(o) IS NULL ORDER BY place);
END $$;
COMMENT ON FUNCTION workflow.read_outcomes(jsonb) IS 'Returns the outcomes in JSON that can be read, in order.';
REVOKE ALL ON FUNCTION workflow.read_outcomes(jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.write_answers(outcomes jsonb, answers jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (
    SELECT coalesce(jsonb_agg(coalesce(a.answer, jsonb_build_object('task', n.o -> 'task', 'lease_token', n.o -> 'lease_token',
        'state', NULL, 'code', 'WF613', 'message', n.flaw)) ORDER BY n.place), '[]')
    FROM (
      SELECT e.o, e.place, f.flaw, count(*) FILTER (WHERE f.flaw IS NULL) OVER (ORDER BY e.place) AS reported
      FROM jsonb_array_elements(outcomes) WITH ORDINALITY AS e (o, place)
      CROSS JOIN LATERAL (SELECT workflow.flaw_of(e.o) AS flaw OFFSET 0) AS f) AS n
    LEFT JOIN jsonb_array_elements(answers) WITH ORDINALITY AS a (answer, place) ON n.flaw IS NULL AND a.place = n.reported);
END $$;
COMMENT ON FUNCTION workflow.write_answers(jsonb, jsonb) IS
  'Returns an answer in JSON to each outcome: the engine''s answer if the outcome could be read, otherwise its refusal.';
REVOKE ALL ON FUNCTION workflow.write_answers(jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish_json(outcomes jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.check_outcomes(outcomes);
  RETURN workflow.write_answers(outcomes, (
    SELECT jsonb_agg(jsonb_build_object('task', f.task::text, 'lease_token', f.lease_token::text, 'state', f.state, 'code', f.code,
      'message', f.message) ORDER BY f.place)
    FROM pg_catalog.workflow_finish(workflow.read_outcomes(outcomes)) WITH ORDINALITY AS f (task, lease_token, state, code, message, place)));
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_finish_json(jsonb) IS
  'Does the same as workflow_finish, in JSON, for any language. outcomes: an array of up to 10000 objects with the fields of workflow.outcome; task and lease_token are strings, retry_in is a number of seconds or an ISO 8601 duration. Returns an array with one object per outcome, in order: task, lease_token, state, code and message, as the columns of workflow_finish. An element that cannot be read is refused individually with WF613. Errors: WF613 if outcomes is null or not an array, WF614 if it is too long.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish_json(jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_finish_and_claim_json(worker text, outcomes jsonb DEFAULT '[]', max_tasks int DEFAULT 1,
  actions text[] DEFAULT NULL, lease interval DEFAULT '30 seconds', parts int[] DEFAULT NULL)
RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  answers jsonb;
  tasks jsonb;
BEGIN
  PERFORM workflow.check_outcomes(outcomes);
  SELECT jsonb_agg(jsonb_build_object('task', f.task::text, 'lease_token', f.lease_token::text, 'state', f.state, 'code', f.code,
      'message', f.message) ORDER BY f.place) FILTER (WHERE f.state IS DISTINCT FROM 'claimed'),
    jsonb_agg(jsonb_build_object('task', f.task::text, 'lease_token', f.lease_token::text, 'execution', f.execution::text,
      'task_name', f.task_name, 'task_index', f.task_index, 'action', f.action, 'input', f.input, 'attempt', f.attempt,
      'lease_until', f.lease_until, 'deadline', f.deadline, 'last_error', f.last_error, 'progress', f.progress,
      'traceparent', f.traceparent, 'workflow_ref', f.workflow_ref) ORDER BY f.place)
      FILTER (WHERE f.state = 'claimed')
  INTO answers, tasks
  FROM pg_catalog.workflow_finish_and_claim(worker, workflow.read_outcomes(outcomes), max_tasks, actions, lease, parts)
    WITH ORDINALITY AS f (task, lease_token, state, code, message, execution, task_name, task_index, action, input, attempt,
      lease_until, deadline, last_error, progress, traceparent, workflow_ref, place);
  RETURN jsonb_build_object('answers', workflow.write_answers(outcomes, answers), 'tasks', coalesce(tasks, '[]'));
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_finish_and_claim_json(text, jsonb, int, text[], interval, int[]) IS
  'Does the same as workflow_finish_and_claim, in JSON, for any language. Takes outcomes as workflow_finish_json does, and returns an object: answers, an array as workflow_finish_json returns it, and tasks, an array of the claimed tasks with the columns of workflow_claim as fields; ids and lease tokens are strings, times are ISO 8601. Without outcomes, it only claims. Errors: as workflow_finish_json and workflow_claim.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_finish_and_claim_json(text, jsonb, int, text[], interval, int[]) FROM PUBLIC;
