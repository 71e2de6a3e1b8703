-- Determines whether the holders of a limit's slots are, in turn, waiting for what waits for the limit.

CREATE FUNCTION workflow.slot_execution(task bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN task < 0 THEN -task ELSE (
  SELECT t.execution FROM workflow.workflow_task_execution AS t WHERE t.part = (slot_execution.task >> 48)::int AND t.id = slot_execution.task AND t.calls) END;
COMMENT ON FUNCTION workflow.slot_execution(bigint) IS
  'Returns the execution that must end before a slot becomes free, given the task of the slot; null: a worker executes the task.';
REVOKE ALL ON FUNCTION workflow.slot_execution(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.is_cancelled_by_others(task bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (
  SELECT (v.definition ->> 'cancellation_policy' = 'cancel_running'
      OR jsonb_path_exists(v.definition, '$.tasks[*] ? (@.join_rest == "cancel" || @.with_items.rest == "cancel")'))
    AND (
      SELECT count(*) = 1000 OR bool_or(o.id <> t.id AND NOT workflow.is_end(o.status))
      FROM (SELECT o.id, o.status FROM workflow.workflow_task_execution AS o WHERE o.part = t.part AND o.workflow_execution = t.workflow_execution LIMIT 1000) AS o)
  FROM workflow.workflow_task_execution AS t
  JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
  JOIN workflow.workflow_definition_version AS v ON v.id = w.version
  WHERE t.part = (is_cancelled_by_others.task >> 48)::int AND t.id = is_cancelled_by_others.task);
COMMENT ON FUNCTION workflow.is_cancelled_by_others(bigint) IS
  'Whether the end of another task that is left in the same execution may cancel a running task: after a failure, or because enough others have completed. True if the execution has 1000 tasks or more.';
REVOKE ALL ON FUNCTION workflow.is_cancelled_by_others(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.is_ended_from_above(execution bigint) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Closing calls go on when their callers are cancelled, and so do calls of executions that have failed.
  RETURN (WITH RECURSIVE callers AS (
      SELECT t.part, t.id AS call, t.due_at, w.id, w.status, w.due_at AS ends_at
      FROM workflow.workflow_task_execution AS t
      JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
      WHERE t.part = (is_ended_from_above.execution >> 48)::int AND t.execution = is_ended_from_above.execution AND t.calls AND NOT t.closing
      UNION
      SELECT t.part, t.id, t.due_at, w.id, w.status, w.due_at
      FROM callers AS c
      JOIN workflow.workflow_task_execution AS t ON t.part = c.part AND t.execution = c.id
      JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.workflow_execution
      WHERE c.status = 'running' AND t.calls AND NOT t.closing)
    SELECT count(*) = 100 OR coalesce(bool_or(c.due_at < 'infinity' OR c.status = 'running' AND (c.ends_at < 'infinity' OR workflow.is_cancelled_by_others(c.call))), false)
    FROM (SELECT * FROM callers LIMIT 100) AS c);
END $$;
COMMENT ON FUNCTION workflow.is_ended_from_above(bigint) IS
  'Whether one of the callers of an execution may cancel it: because of a time limit, or when another task of the caller ends. True if there are 100 callers or more.';
REVOKE ALL ON FUNCTION workflow.is_ended_from_above(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.waits_in_deadlock(execution bigint, OUT key bigint, OUT beside bigint[], OUT waiting bigint, OUT force boolean)
RETURNS SETOF record
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY WITH RECURSIVE family AS (
      -- target: what has to be cancelled so that the tasks of the execution are withdrawn. A cancel does not reach closing calls, nor
      -- those of executions that have failed.
      SELECT w.part, w.id, w.status, w.limit_key, w.id AS target, ARRAY[w.id] AS path,
        workflow.is_ended_from_above(w.id) OR w.status = 'running' AND w.due_at IS NOT NULL AND w.due_at < 'infinity' AS is_ended
      FROM workflow.workflow_execution AS w
      WHERE w.part = (waits_in_deadlock.execution >> 48)::int AND w.id = waits_in_deadlock.execution
      UNION ALL
      SELECT w.part, w.id, w.status, w.limit_key, CASE WHEN t.closing OR f.status <> 'running' THEN w.id ELSE f.target END, f.path || w.id,
        coalesce(t.due_at < 'infinity', false) OR w.status = 'running' AND w.due_at IS NOT NULL AND w.due_at < 'infinity'
        OR NOT t.closing AND f.status = 'running' AND (f.is_ended OR workflow.is_cancelled_by_others(t.id))
      FROM family AS f
      JOIN workflow.workflow_task_execution AS t ON t.part = f.part AND t.workflow_execution = f.id
      JOIN workflow.workflow_execution AS w ON w.part = t.part AND w.id = t.execution
      WHERE t.calls AND NOT workflow.is_end(t.status)),
    member AS MATERIALIZED (
      SELECT f.part, f.id, f.status, f.limit_key, f.target, f.path, f.is_ended FROM family AS f LIMIT 100),
    task AS MATERIALIZED (
      SELECT m.id AS execution, m.target, m.path, m.is_ended, t.limit_key, t.calls AND t.execution IS NOT NULL AS is_call, t.held,
        t.closing OR m.status <> 'running' OR coalesce(t.undo ? 'unknown', false) AS stays,
        NOT workflow.is_end(t.status) AND m.limit_key IS NULL AS is_open
      FROM member AS m
      CROSS JOIN LATERAL (
        SELECT o.status, o.limit_key, o.calls, o.execution, o.held, o.closing, o.undo FROM workflow.workflow_task_execution AS o
        WHERE o.part = m.part AND o.workflow_execution = m.id LIMIT 1000) AS t),
    -- If there are more, something among them may end the wait.
    examined AS MATERIALIZED (
      SELECT (SELECT count(*) < 100 FROM member) AND NOT EXISTS (SELECT FROM task AS t GROUP BY t.execution HAVING count(*) = 1000) AS is_all),
    open AS MATERIALIZED (
      SELECT DISTINCT t.execution, t.target, t.path, t.is_ended, t.limit_key, t.is_call, t.held, t.stays
      FROM task AS t, examined AS e WHERE t.is_open AND e.is_all)
    SELECT o.limit_key,
      CASE WHEN o.stays THEN '{}' ELSE ARRAY(
        SELECT DISTINCT a.limit_key FROM open AS a WHERE o.execution = ANY (a.path) AND a.limit_key <> o.limit_key LIMIT 100) END,
      CASE WHEN o.stays THEN o.execution ELSE o.target END, o.stays
    FROM (SELECT DISTINCT o.execution, o.target, o.is_ended, o.limit_key, o.stays FROM open AS o WHERE o.limit_key IS NOT NULL LIMIT 100) AS o
    WHERE o.stays OR NOT o.is_ended AND NOT EXISTS (
      -- If this task fails, what is waiting alongside it is withdrawn.
      SELECT FROM open AS a WHERE o.execution = ANY (a.path) AND a.limit_key IS NULL AND NOT a.is_call AND NOT a.held)
    UNION
    SELECT m.limit_key, '{}', m.target, false FROM member AS m, examined AS e WHERE m.limit_key IS NOT NULL AND NOT m.is_ended AND e.is_all;
END $$;
COMMENT ON FUNCTION workflow.waits_in_deadlock(bigint) IS
  'Returns the keys of limits without which an execution cannot end, because it, or one that it has called, is waiting for them, and nothing else can end the wait: no time limit, and no other task, unless it, too, waits for one of these keys (beside). waiting: the execution whose cancellation ends the wait; force: whether it has to be cancelled by force, because closing tasks and undos are waiting. None if there are 100 such executions or more, or 1000 tasks or more in one of them. Returns up to 100 keys of tasks.';
REVOKE ALL ON FUNCTION workflow.waits_in_deadlock(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.is_worker_first(key bigint) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (WITH RECURSIVE actions AS (
      SELECT min(t.action_ref) AS ref FROM workflow.workflow_task_execution AS t WHERE t.limit_key = is_worker_first.key
      UNION ALL
      SELECT (SELECT min(t.action_ref) FROM workflow.workflow_task_execution AS t WHERE t.limit_key = is_worker_first.key AND t.action_ref > a.ref)
      FROM actions AS a WHERE a.ref IS NOT NULL)
    SELECT NOT t.calls FROM (SELECT a.ref FROM actions AS a LIMIT 100) AS a
    CROSS JOIN LATERAL (
      SELECT o.calls, o.limit_place, o.id FROM workflow.workflow_task_execution AS o
      WHERE o.limit_key = is_worker_first.key AND o.action_ref = a.ref ORDER BY o.limit_place, o.id LIMIT 1) AS t
    ORDER BY t.limit_place, t.id LIMIT 1);
END $$;
COMMENT ON FUNCTION workflow.is_worker_first(bigint) IS
  'Whether the next free slot of a key goes to a task that a worker executes, and not to a call, which may wait for further slots; null: to an execution. Examines up to 100 actions.';
REVOKE ALL ON FUNCTION workflow.is_worker_first(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.find_deadlock(key bigint, now timestamptz, OUT execution bigint, OUT hint text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  keys bigint[] := ARRAY[key];
  closed bigint[] := '{}';
  left_over bigint[];
  holders bigint[];
  holder bigint;
  awaited record;
  -- Which holder of a slot of which key waits for which other key, and what has to be cancelled to end that wait.
  of_key bigint[] := '{}';
  of_holder bigint[] := '{}';
  waits_for bigint[] := '{}';
  beside jsonb[] := '{}';
  waiting bigint[] := '{}';
  force boolean[] := '{}';
  place int := 1;
BEGIN
  WHILE place <= least(cardinality(keys), 20) LOOP
    holders := ARRAY(
      SELECT workflow.slot_execution(s.task) FROM workflow.limit_slot AS s
      WHERE s.key = keys[place] AND s.task IS NOT NULL ORDER BY s.number LIMIT 21);
    -- Only a key whose slots are all taken, by executions, can be part of a deadlock: a task that a worker executes will end.
    IF cardinality(holders) <= 20 AND array_position(holders, NULL) IS NULL AND EXISTS (
      SELECT FROM workflow.limit_key AS k JOIN workflow.limit_rule AS r ON r.name = k.limit_name
      WHERE k.id = keys[place] AND cardinality(holders) >= r.max_running AND NOT EXISTS (SELECT FROM workflow.limit_hold(k.limit_name, k.key, now)))
    THEN
      closed := closed || keys[place];
      FOREACH holder IN ARRAY holders LOOP
        of_key := of_key || keys[place];
        of_holder := of_holder || holder;
        waits_for := waits_for || NULL::bigint;
        beside := beside || NULL::jsonb;
        waiting := waiting || NULL::bigint;
        force := force || NULL::boolean;
        FOR awaited IN SELECT a.key, a.beside, a.waiting, a.force FROM workflow.waits_in_deadlock(holder) AS a LOOP
          of_key := of_key || keys[place];
          of_holder := of_holder || holder;
          waits_for := waits_for || awaited.key;
          beside := beside || to_jsonb(awaited.beside);
          waiting := waiting || awaited.waiting;
          force := force || awaited.force;
          keys := keys || ARRAY(SELECT a FROM unnest(awaited.key || awaited.beside) AS a WHERE a <> ALL (keys));
        END LOOP;
      END LOOP;
    END IF;
    place := place + 1;
  END LOOP;
  -- A key that has a holder which waits for no such key will have a free slot.
  LOOP
    left_over := ARRAY(
      SELECT c.key FROM unnest(closed) AS c(key)
      WHERE NOT EXISTS (
        SELECT FROM unnest(of_key, of_holder) AS h(key, holder)
        WHERE h.key = c.key AND NOT EXISTS (
          SELECT FROM unnest(of_key, of_holder, waits_for, beside) AS w(key, holder, other, beside)
          WHERE w.key = h.key AND w.holder = h.holder AND w.other = ANY (closed) AND w.beside <@ to_jsonb(closed))));
    EXIT WHEN left_over = closed;
    closed := left_over;
  END LOOP;
  IF key = ANY (closed) THEN
    execution := of_holder[array_position(of_key, key)];
    -- The slot of a holder that only waits for one such key is freed by cancelling it. It should go to a task that a worker executes:
    -- another call might wait for the same slots again.
    SELECT format('raise %s, or SELECT workflow_cancel(%s%s)%s; SELECT * FROM workflow_why(%s) says what it is waiting for',
        CASE WHEN k.limit_name LIKE '@%' THEN format('the concurrency of %s', substr(k.limit_name, 2)) ELSE format('limit %s', k.limit_name) END,
        h.waiting, CASE WHEN h.force THEN ', force => true' END, CASE WHEN h.force THEN ', which leaves closing tasks and undos undone' END, h.waiting)
    INTO hint
    FROM unnest(of_key, of_holder, waits_for, beside, waiting, force) WITH ORDINALITY AS h(key, holder, other, beside, waiting, force, number)
    JOIN workflow.limit_key AS k ON k.id = h.key
    WHERE h.key = ANY (closed) AND h.other = ANY (closed) AND h.beside <@ to_jsonb(closed)
    ORDER BY h.force, workflow.is_worker_first(h.key) IS NOT TRUE, h.key <> find_deadlock.key, h.number LIMIT 1;
  END IF;
END $$;
COMMENT ON FUNCTION workflow.find_deadlock(bigint, timestamptz) IS
  'If a key of a limit never gets a free slot again, because all that have its slots are waiting for keys of which the same is true, returns the first of these executions, and a hint on how to end the deadlock. Examines up to 20 keys with up to 20 slots each; a key with more slots is assumed to get one.';
REVOKE ALL ON FUNCTION workflow.find_deadlock(bigint, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.say_deadlock(execution bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN execution IS NOT NULL THEN format('; this is a deadlock: execution %s has a slot, and cannot end before something that is waiting for one', execution) END;
COMMENT ON FUNCTION workflow.say_deadlock(bigint) IS 'Returns the end of a sentence about a limit whose slots depend on each other; null for null.';
REVOKE ALL ON FUNCTION workflow.say_deadlock(bigint) FROM PUBLIC;
