-- Explains in words what single tasks are waiting for, with what can be done about it.

CREATE FUNCTION workflow.say_time(moment timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN to_char(moment, 'YYYY-MM-DD HH24:MI:SSOF');
COMMENT ON FUNCTION workflow.say_time(timestamptz) IS 'Returns a time as text for a sentence, to the second, in the session''s time zone.';
REVOKE ALL ON FUNCTION workflow.say_time(timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.say_error(error jsonb) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN ' (' || left(coalesce(error ->> 'message', error #>> '{}'), 200) || ')';
COMMENT ON FUNCTION workflow.say_error(jsonb) IS 'Returns a reported error as text for a sentence, in parentheses, or null if there is none.';
REVOKE ALL ON FUNCTION workflow.say_error(jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.last_claim(part int, action_ref text) RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- An id begins with its part.
  first bigint := last_claim.part::bigint << 48;
  last bigint := ((last_claim.part + 1)::bigint << 48) - 1;
  head bigint;
BEGIN
  -- Tasks are claimed roughly in order of creation: the one claimed last is just before the head of the queue, which may be far
  -- from the newest task if many items were created at once.
  SELECT t.id INTO head FROM workflow.workflow_task_execution t
  WHERE t.part = last_claim.part AND t.action_ref = last_claim.action_ref AND t.queue_at IS NOT NULL
  ORDER BY t.queue_at, t.id LIMIT 1;
  RETURN (SELECT max(n.started_at)
    FROM (SELECT newest.* FROM (
            SELECT t.action_ref, t.started_at FROM workflow.workflow_task_execution t
            WHERE t.id BETWEEN first AND last ORDER BY t.id DESC LIMIT 1000) AS newest
          UNION ALL
          SELECT before.* FROM (
            SELECT t.action_ref, t.started_at FROM workflow.workflow_task_execution t
            WHERE t.id >= first AND t.id < head ORDER BY t.id DESC LIMIT 1000) AS before) AS n
    WHERE n.action_ref = last_claim.action_ref);
END $$;
COMMENT ON FUNCTION workflow.last_claim(int, text) IS
  'Returns when a worker last claimed a task of an action, judging by the newest 1000 tasks of a part and the 1000 before the head of its queue, or null if none of these was claimed.';
REVOKE ALL ON FUNCTION workflow.last_claim(int, text) FROM PUBLIC;

-- All sentences about overdue work share their ending and their remedy.
CREATE FUNCTION workflow.why_late(what text, due timestamptz) RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT format('%s at %s, and workflow_tick has not been called since', what, workflow.say_time(due)),
    'SELECT workflow_tick(), or run a worker, which calls it regularly';
END $$;
COMMENT ON FUNCTION workflow.why_late(text, timestamptz) IS 'Explains that work has been overdue since the given time.';
REVOKE ALL ON FUNCTION workflow.why_late(text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_queued(part int, action_ref text, since timestamptz, now timestamptz) RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last timestamptz := workflow.last_claim(part, action_ref);
  -- A worker that is busy, or that polls, may claim it at any moment.
  is_recent boolean := since > now - interval '30 seconds';
BEGIN
  IF last IS NULL AND is_recent THEN
    RETURN QUERY SELECT format('none of the recent tasks of action %s has been claimed yet', action_ref), NULL::text;
  ELSIF last IS NULL THEN
    RETURN QUERY SELECT format('no worker seems to serve action %s: none of its recent tasks has been claimed', action_ref),
      format('run a worker that serves %s', action_ref);
  ELSE
    RETURN QUERY SELECT format('action %s was last claimed at %s', action_ref, workflow.say_time(last)),
      CASE WHEN last < since AND NOT is_recent THEN format('make sure that enough workers that serve %s are running', action_ref) END;
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_queued(int, text, timestamptz, timestamptz) IS 'Explains whether any worker serves the action of a task that has been in the queue since the given time; for half a minute, this is no reason to worry.';
REVOKE ALL ON FUNCTION workflow.why_queued(int, text, timestamptz, timestamptz) FROM PUBLIC;

-- For a task in the queue, or about to be called, that is held although it has no limit.
CREATE FUNCTION workflow.why_held(run workflow.workflow_execution, action_ref text, now timestamptz) RETURNS SETOF workflow.hold
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY SELECT h.* FROM workflow.hold h
    WHERE h.until > why_held.now AND h.key = '' AND (
      h.target = 'everything' OR h.target = 'action' AND h.name = why_held.action_ref
      OR h.target = 'workflow' AND h.name = (SELECT d.ref FROM workflow.workflow_definition d WHERE d.id = run.workflow_def))
    ORDER BY h.until DESC LIMIT 1;
END $$;
COMMENT ON FUNCTION workflow.why_held(workflow.workflow_execution, text, timestamptz) IS
  'Returns the longest-lasting hold among those on everything, on an action, and on the workflow of an execution.';
REVOKE ALL ON FUNCTION workflow.why_held(workflow.workflow_execution, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.say_hold(h workflow.hold) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN format('held until %s by %s', workflow.say_time(h.until), h.author) || coalesce(': ' || h.reason, '');
COMMENT ON FUNCTION workflow.say_hold(workflow.hold) IS 'Returns a hold as text for a sentence.';
REVOKE ALL ON FUNCTION workflow.say_hold(workflow.hold) FROM PUBLIC;

CREATE FUNCTION workflow.why_limited(t workflow.workflow_task_execution, now timestamptz) RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  k workflow.limit_key;
  r workflow.limit_rule;
  h workflow.hold;
  before bigint;
  what text;
  deadlock record;
BEGIN
  SELECT o.* INTO k FROM workflow.limit_key o WHERE o.id = t.limit_key;
  SELECT o.* INTO r FROM workflow.limit_rule o WHERE o.name = k.limit_name;
  SELECT o.* INTO h FROM workflow.limit_hold(k.limit_name, k.key, now) o;
  what := CASE WHEN k.limit_name = '@workflow' THEN format('workflow %s', k.key)
    ELSE format('limit %s', k.limit_name) || CASE WHEN k.key = '' THEN '' ELSE format(', key %s', left(k.key, 200)) END END;
  IF h.id IS NOT NULL THEN
    RETURN QUERY SELECT format('is waiting for %s, which is %s', what, workflow.say_hold(h)),
      format('SELECT workflow_release(%L%s%s)', h.name, ', key => ' || quote_literal(nullif(h.key, '')),
        CASE WHEN h.target = 'limit' THEN '' ELSE format(', target => %L', h.target) END);
  ELSIF r.name IS NULL THEN
    RETURN QUERY SELECT format('is waiting for %s, which no longer holds anything back: the next claim or workflow_tick releases it', what), 'SELECT workflow_tick()';
  ELSE
    SELECT count(*) INTO before FROM (
      SELECT FROM workflow.workflow_task_execution o
      WHERE o.limit_key = t.limit_key AND o.action_ref = t.action_ref AND (o.limit_place, o.id) < (t.limit_place, t.id) LIMIT 10000) AS first;
    SELECT d.execution, d.hint INTO deadlock FROM workflow.find_deadlock(k.id, now) AS d;
    RETURN QUERY SELECT format('is waiting for %s: ', what) || concat_ws(', ',
        CASE WHEN r.max_running IS NOT NULL THEN format('%s of %s running',
          (SELECT count(*) FROM workflow.limit_slot s WHERE s.key = k.id AND s.task IS NOT NULL), r.max_running) END,
        CASE WHEN r.rate IS NOT NULL THEN format('%s may start per %s', r.rate, r.per) END,
        CASE before WHEN 10000 THEN 'at least 10000 tasks' WHEN 1 THEN '1 task' ELSE format('%s tasks', before) END || ' of the same action ahead of it',
        'next one at about ' || workflow.say_time(nullif(greatest(workflow.limit_opens_at(k, r), now), now))) || coalesce(workflow.say_deadlock(deadlock.execution), ''),
      coalesce(deadlock.hint, format('SELECT workflow_set_limit(%L, %s) with higher numbers takes effect immediately', r.name,
        concat_ws(', ', 'max_running => ' || r.max_running, CASE WHEN r.rate IS NOT NULL THEN format('rate => %s, per => %L, burst => %s', r.rate, r.per, r.burst) END)));
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_limited(workflow.workflow_task_execution, timestamptz) IS
  'Explains which limit a task is waiting for, how much of it is in use, and how many tasks are ahead.';
REVOKE ALL ON FUNCTION workflow.why_limited(workflow.workflow_task_execution, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_running(t workflow.workflow_task_execution, now timestamptz) RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  held workflow.lease;
BEGIN
  SELECT l.* INTO held FROM workflow.lease l
  WHERE l.part = t.part AND (l.id = t.lease OR (l.token = t.lease AND l.id <> l.token)) AND t.id = ANY (l.tasks);
  IF t.due_at <= now THEN
    RETURN QUERY SELECT * FROM workflow.why_late(format('was claimed by %s (attempt %s), and its timeout of %s s ended',
      coalesce(held.worker, 'an unknown worker'), t.attempt, t.timeout_seconds), t.due_at);
  ELSIF held.until <= now THEN
    RETURN QUERY SELECT * FROM workflow.why_late(format('was claimed by %s (attempt %s), whose lease ended', held.worker, t.attempt), held.until);
  ELSE
    RETURN QUERY SELECT format('was claimed by %s (attempt %s) at %s, lease until %s%s', coalesce(held.worker, 'an unknown worker'), t.attempt,
      workflow.say_time(t.started_at), coalesce(workflow.say_time(held.until), 'never'), ', progress ' || left(t.progress::text, 200)), NULL;
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_running(workflow.workflow_task_execution, timestamptz) IS 'Explains which worker holds a task, and whether it is overdue.';
REVOKE ALL ON FUNCTION workflow.why_running(workflow.workflow_task_execution, timestamptz) FROM PUBLIC;

-- A call waits for whatever its child waits for; only the first reason is shown. `looks` is the number of calls that are examined
-- this way; within a child it is one, so that the work does not multiply with the depth.
CREATE FUNCTION workflow.why_calling(t workflow.workflow_task_execution, looks int, now timestamptz) RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  child workflow.workflow_execution;
  first record;
BEGIN
  IF looks > 0 THEN
    SELECT w.* INTO child FROM workflow.workflow_execution w WHERE w.part = t.part AND w.id = t.execution;
    -- The reason of one of its tasks is more informative than the fact that it is closing.
    SELECT * INTO first FROM workflow.why_rows(child, 2, 1, now) AS w ORDER BY w.task IS NULL LIMIT 1;
    RETURN QUERY SELECT format('%sis waiting for execution %s (%s): %s%s', CASE WHEN t.error ->> 'type' = 'not_needed' THEN 'is no longer needed, and ' WHEN t.timed_out THEN 'has exceeded its timeout, and ' END,
        t.execution, t.action_ref, 'task ' || first.task || ' ', first.why),
      coalesce(first.hint, format('SELECT * FROM workflow_why(%s)', t.execution));
  ELSE
    RETURN QUERY SELECT format('is waiting for execution %s (%s)', t.execution, t.action_ref), format('SELECT * FROM workflow_why(%s)', t.execution);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_calling(workflow.workflow_task_execution, int, timestamptz) IS
  'Explains which execution a task is waiting for and, if looks is not 0, what that execution is waiting for.';
REVOKE ALL ON FUNCTION workflow.why_calling(workflow.workflow_task_execution, int, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_task(t workflow.workflow_task_execution, run workflow.workflow_execution, looks int, now timestamptz)
RETURNS TABLE (why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  failed text := format('failed%s and', workflow.say_error(t.error));
  waits boolean := t.signal IS NOT NULL AND t.status = 'scheduled' AND t.started_at IS NOT NULL;
BEGIN
  IF t.status = 'running' AND t.calls THEN
    RETURN QUERY SELECT * FROM workflow.why_calling(t, looks, now);
  ELSIF t.status = 'running' THEN
    RETURN QUERY SELECT * FROM workflow.why_running(t, now);
  ELSIF t.limit_key IS NOT NULL THEN
    RETURN QUERY SELECT * FROM workflow.why_limited(t, now);
  ELSIF t.queue_at IS NOT NULL AND EXISTS (SELECT FROM workflow.why_held(run, t.action_ref, now)) THEN
    RETURN QUERY SELECT format('is in the queue, %s', workflow.say_hold(h)),
        format('SELECT workflow_release(%s, target => %L)', coalesce(quote_literal(nullif(h.name, '')), 'NULL'), h.target)
      FROM workflow.why_held(run, t.action_ref, now) AS h;
  ELSIF t.queue_at IS NOT NULL THEN
    RETURN QUERY SELECT format('has been queued since %s; %s', workflow.say_time(t.updated), q.why), q.hint
      FROM workflow.why_queued(t.part, t.action_ref, t.updated, now) AS q;
  ELSIF t.due_at = 'infinity' THEN
    RETURN QUERY SELECT 'starts when its execution begins', NULL;
  ELSIF t.due_at <= now THEN
    RETURN QUERY SELECT * FROM workflow.why_late(CASE
      WHEN waits THEN format('was waiting for signal %s, and its timeout ended', t.signal)
      WHEN t.next_retry_at IS NOT NULL THEN format('%s was due to be retried', failed) ELSE 'was due to start' END, t.due_at);
  ELSIF waits THEN
    RETURN QUERY SELECT format('has been waiting for signal %s since %s%s', t.signal, workflow.say_time(t.started_at), ', until ' || workflow.say_time(t.due_at)),
      format('SELECT workflow_signal(%s, %L, …), replacing … with %s', run.id, t.signal,
        CASE WHEN coalesce(t.input, 'null') = 'null' THEN 'the payload' ELSE format('the answer to %s', left(t.input::text, 500)) END)
        || coalesce(', which must satisfy ' || left(
          (SELECT n.task #>> '{wait_for,schema}' FROM workflow.workflow_definition_version AS v, jsonb_array_elements(v.definition -> 'tasks') AS n(task)
           WHERE v.id = run.version AND n.task ->> 'name' = t.task_name LIMIT 1), 500), '');
  ELSIF t.status = 'scheduled' AND run.paused THEN
    RETURN QUERY SELECT 'is ready, and will be queued when the execution is resumed', NULL;
  ELSIF t.repeat_count > 0 AND t.due_at IS NOT NULL AND t.next_retry_at IS NULL THEN
    RETURN QUERY SELECT format('will run again at %s, because `until` was not satisfied yet (repetition %s)', workflow.say_time(t.due_at), t.repeat_count), NULL;
  ELSIF t.next_retry_at IS NOT NULL THEN
    RETURN QUERY SELECT format('%s will be retried at %s (retry %s of %s)', failed, workflow.say_time(t.next_retry_at),
      t.retry_count + 1, t.max_retries), NULL;
  ELSIF t.held AND t.undoes IS NOT NULL THEN
    RETURN QUERY SELECT 'is waiting until tasks that completed later have been undone', NULL;
  ELSIF t.due_at IS NOT NULL THEN
    RETURN QUERY SELECT format('starts at %s', workflow.say_time(t.due_at)), NULL;
  ELSE
    RETURN QUERY SELECT format('is %s but is not waiting for anything, which should be impossible', t.status), 'SELECT * FROM workflow_check()';
  END IF;
END $$;
COMMENT ON FUNCTION workflow.why_task(workflow.workflow_task_execution, workflow.workflow_execution, int, timestamptz) IS
  'Explains what a task that has not ended is waiting for.';
REVOKE ALL ON FUNCTION workflow.why_task(workflow.workflow_task_execution, workflow.workflow_execution, int, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_items(run workflow.workflow_execution, looks int, now timestamptz) RETURNS TABLE (place bigint, task text, why text, hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH counted AS (
    SELECT min(t.id) AS place, t.task_name, count(*) AS total,
      count(*) FILTER (WHERE workflow.is_end(t.status)) AS ended,
      count(*) FILTER (WHERE t.status IN ('failed', 'timeout', 'abandoned')) AS failed,
      count(*) FILTER (WHERE t.status = 'running') AS running,
      -- Overdue items first.
      (array_agg(t.id ORDER BY least(t.due_at, l.until), t.id) FILTER (WHERE t.status = 'running'))[1] AS first_running,
      count(*) FILTER (WHERE t.queue_at IS NOT NULL) AS queued,
      min(t.updated) FILTER (WHERE t.queue_at IS NOT NULL) AS queued_since,
      min(t.action_ref) FILTER (WHERE t.queue_at IS NOT NULL) AS action_ref,
      count(*) FILTER (WHERE t.held) AS held,
      count(*) FILTER (WHERE t.limit_key IS NOT NULL) AS limited,
      (array_agg(t.id ORDER BY t.limit_place, t.id) FILTER (WHERE t.limit_key IS NOT NULL))[1] AS first_limited,
      count(*) FILTER (WHERE t.status = 'scheduled' AND t.queue_at IS NULL AND t.limit_key IS NULL AND t.signal IS NULL) AS kept,
      count(*) FILTER (WHERE t.status = 'requested' AND NOT t.held) AS waiting,
      (array_agg(t.id ORDER BY t.due_at, t.id) FILTER (WHERE t.status = 'requested' AND NOT t.held))[1] AS first_waiting
    FROM workflow.workflow_task_execution t
    LEFT JOIN workflow.lease l ON t.status = 'running' AND l.part = t.part AND l.id = t.lease
    WHERE t.part = run.part AND t.workflow_execution = run.id AND t.task_index IS NOT NULL
    GROUP BY t.task_name, t.route, t.visit
    HAVING bool_or(NOT workflow.is_end(t.status)))
  SELECT c.place, c.task_name, format('%s of %s items have ended', c.ended, c.total) || concat(
      ' (' || nullif(c.failed, 0) || ' failed)',
      '; running: ' || nullif(c.running, 0) || ', item ' || r.task_index || ' ' || running.why,
      '; queued: ' || nullif(c.queued, 0) || ', the first since ' || workflow.say_time(c.queued_since) || '; ' || q.why,
      '; limited: ' || nullif(c.limited, 0) || ', item ' || m.task_index || ' ' || limited.why,
      '; starting later: ' || nullif(c.waiting, 0) || ', item ' || d.task_index || ' ' || waiting.why,
      '; waiting for their turn: ' || nullif(c.held, 0),
      '; to be queued on resume: ' || nullif(c.kept, 0)),
    coalesce(running.hint, limited.hint, waiting.hint, q.hint)
  FROM counted c
  LEFT JOIN workflow.workflow_task_execution r ON r.part = run.part AND r.id = c.first_running
  LEFT JOIN LATERAL workflow.why_task(r, run, looks, now) AS running ON c.running > 0
  LEFT JOIN workflow.workflow_task_execution m ON m.part = run.part AND m.id = c.first_limited
  LEFT JOIN LATERAL workflow.why_limited(m, now) AS limited ON c.limited > 0
  LEFT JOIN workflow.workflow_task_execution d ON d.part = run.part AND d.id = c.first_waiting
  LEFT JOIN LATERAL workflow.why_task(d, run, 0, now) AS waiting ON c.waiting > 0
  LEFT JOIN LATERAL workflow.why_queued(run.part, c.action_ref, c.queued_since, now) AS q ON c.queued > 0;
END $$;
COMMENT ON FUNCTION workflow.why_items(workflow.workflow_execution, int, timestamptz) IS
  'Explains the progress of the tasks with items that have not ended, one row per task, and what the first of the items is waiting for.';
REVOKE ALL ON FUNCTION workflow.why_items(workflow.workflow_execution, int, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.why_joins(run workflow.workflow_execution) RETURNS TABLE (task text, why text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  tasks jsonb;
BEGIN
  IF NOT run.state ? 'joins' THEN
    RETURN;
  END IF;
  SELECT v.definition -> 'tasks' INTO tasks FROM workflow.workflow_definition_version v WHERE v.id = run.version;
  RETURN QUERY
  SELECT j.join ->> 'name', format('is waiting for %s%s; arrived: %s',
      (j.join -> 'join' ->> 'count')::int - cardinality(j.arrived) || ' more of ', array_to_string(j.missing, ', '), array_to_string(j.arrived, ', '))
  FROM (
    SELECT tasks -> (a.arrivals ->> 'node')::int AS join, named.arrived,
      ARRAY(SELECT t.task ->> 'name' FROM jsonb_array_elements(tasks) WITH ORDINALITY AS t(task, place)
            WHERE t.task ->> 'name' <> ALL (named.arrived) AND EXISTS (
              SELECT FROM jsonb_array_elements(t.task -> 'next') AS n(next)
              WHERE n.next -> 'do' ? (tasks -> (a.arrivals ->> 'node')::int ->> 'name'))
            ORDER BY t.place) AS missing
    FROM jsonb_array_elements(run.state -> 'joins') AS a(arrivals)
    -- One bit per task, in words of 32 bits; a negative number stands for so many words without tasks.
    CROSS JOIN LATERAL (
      SELECT ARRAY(
        SELECT t.task ->> 'name'
        FROM (SELECT s.word::bigint AS word, sum(greatest(-(s.word::bigint), 1)) OVER (ORDER BY s.place) - 1 AS number
              FROM jsonb_array_elements_text(a.arrivals -> 'tasks') WITH ORDINALITY AS s(word, place)) AS w
        JOIN jsonb_array_elements(tasks) WITH ORDINALITY AS t(task, place)
          ON w.word > 0 AND (t.place - 1) / 32 = w.number AND w.word >> ((t.place - 1) % 32)::int & 1 = 1
        ORDER BY t.place) AS arrived) AS named
    WHERE a.arrivals ->> 'fired' IS DISTINCT FROM 'true') AS j;
END $$;
COMMENT ON FUNCTION workflow.why_joins(workflow.workflow_execution) IS 'Explains what the joins at which something has arrived are waiting for.';
REVOKE ALL ON FUNCTION workflow.why_joins(workflow.workflow_execution) FROM PUBLIC;
