-- Whether those that have the slots of a limit are waiting, in turn, for what waits for the limit.

CREATE FUNCTION workflow.slot_execution(task bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN task < 0 THEN -task ELSE (
  SELECT t.execution FROM workflow.workflow_task_execution AS t WHERE t.part = (slot_execution.task >> 48)::int AND t.id = slot_execution.task AND t.calls) END;
COMMENT ON FUNCTION workflow.slot_execution(bigint) IS
  'Returns the execution that must end before a slot becomes free, given the task of the slot; null: a worker executes the task.';
REVOKE ALL ON FUNCTION workflow.slot_execution(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.running_family(execution bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY WITH RECURSIVE family AS (
      SELECT running_family.execution AS id
      UNION
      SELECT t.execution FROM family AS f
      JOIN workflow.workflow_task_execution AS t ON t.part = (f.id >> 48)::int AND t.workflow_execution = f.id
      WHERE t.calls AND t.execution IS NOT NULL AND NOT workflow.is_end(t.status))
    SELECT f.id FROM family AS f LIMIT 100;
END $$;
COMMENT ON FUNCTION workflow.running_family(bigint) IS
  'Returns an execution and those that it, or one of them, has called and that have not ended, up to 100.';
REVOKE ALL ON FUNCTION workflow.running_family(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.awaited_keys(execution bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY
    SELECT DISTINCT coalesce(w.limit_key, t.limit_key) FROM workflow.running_family(awaited_keys.execution) AS f(id)
    JOIN workflow.workflow_execution AS w ON w.part = (f.id >> 48)::int AND w.id = f.id
    LEFT JOIN LATERAL (
      SELECT o.limit_key FROM (
        SELECT t.limit_key FROM workflow.workflow_task_execution AS t WHERE t.part = w.part AND t.workflow_execution = w.id LIMIT 1000) AS o
      WHERE o.limit_key IS NOT NULL) AS t ON true
    WHERE coalesce(w.limit_key, t.limit_key) IS NOT NULL;
END $$;
COMMENT ON FUNCTION workflow.awaited_keys(bigint) IS
  'Returns the keys of limits for which an execution, or one that it has called, is waiting. Examines up to 100 executions, and 1000 tasks of each.';
REVOKE ALL ON FUNCTION workflow.awaited_keys(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.has_deadline(execution bigint) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (WITH RECURSIVE callers AS (
      SELECT e.id, e.parent FROM workflow.execution AS e WHERE e.part = (has_deadline.execution >> 48)::int AND e.id = has_deadline.execution
      UNION
      SELECT e.id, e.parent FROM callers AS c
      JOIN workflow.execution AS e ON e.part = (c.parent >> 48)::int AND e.id = c.parent),
    member AS (
      (SELECT c.id FROM callers AS c LIMIT 100)
      UNION ALL
      SELECT f.id FROM workflow.running_family(has_deadline.execution) AS f(id))
    SELECT EXISTS (
        SELECT FROM member AS m
        JOIN workflow.workflow_execution AS w ON w.part = (m.id >> 48)::int AND w.id = m.id
        WHERE w.due_at < 'infinity')
      OR EXISTS (
        SELECT FROM member AS m
        CROSS JOIN LATERAL (
          SELECT t.due_at, t.calls FROM workflow.workflow_task_execution AS t
          WHERE t.part = (m.id >> 48)::int AND t.workflow_execution = m.id LIMIT 1000) AS t
        WHERE t.calls AND t.due_at < 'infinity'));
END $$;
COMMENT ON FUNCTION workflow.has_deadline(bigint) IS
  'Whether a time limit will end an execution, one of its callers, or one that it has called. Examines up to 100 of either, and 1000 tasks of each.';
REVOKE ALL ON FUNCTION workflow.has_deadline(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.find_deadlock(key bigint, now timestamptz) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  keys bigint[] := ARRAY[key];
  closed bigint[] := '{}';
  left_over bigint[];
  holders bigint[];
  awaited bigint[];
  holder bigint;
  -- Which holder of a slot of which key waits for which other key.
  of_key bigint[] := '{}';
  of_holder bigint[] := '{}';
  waits_for bigint[] := '{}';
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
        awaited := CASE WHEN workflow.has_deadline(holder) THEN '{}' ELSE ARRAY(SELECT a FROM workflow.awaited_keys(holder) AS a) END;
        of_key := of_key || keys[place] || array_fill(keys[place], ARRAY[cardinality(awaited)]);
        of_holder := of_holder || holder || array_fill(holder, ARRAY[cardinality(awaited)]);
        waits_for := waits_for || NULL::bigint || awaited;
        keys := keys || ARRAY(SELECT a FROM unnest(awaited) AS a WHERE a <> ALL (keys));
      END LOOP;
    END IF;
    place := place + 1;
  END LOOP;
  -- A key of which one holder waits for no such key will have a free slot.
  LOOP
    left_over := ARRAY(
      SELECT c.key FROM unnest(closed) AS c(key)
      WHERE NOT EXISTS (
        SELECT FROM unnest(of_key, of_holder) AS h(key, holder)
        WHERE h.key = c.key AND NOT EXISTS (
          SELECT FROM unnest(of_key, of_holder, waits_for) AS w(key, holder, other)
          WHERE w.key = h.key AND w.holder = h.holder AND w.other = ANY (closed))));
    EXIT WHEN left_over = closed;
    closed := left_over;
  END LOOP;
  RETURN CASE WHEN key = ANY (closed) THEN of_holder[array_position(of_key, key)] END;
END $$;
COMMENT ON FUNCTION workflow.find_deadlock(bigint, timestamptz) IS
  'If a key of a limit never gets a free slot again, because all that have its slots are waiting for keys of which the same is true, returns the first of these executions. Examines up to 20 keys with up to 20 slots each; a key with more slots is assumed to get one.';
REVOKE ALL ON FUNCTION workflow.find_deadlock(bigint, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.say_deadlock(execution bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN execution IS NOT NULL THEN format('; this is a deadlock: execution %s has a slot, and cannot end before something that is waiting for one', execution) END;
COMMENT ON FUNCTION workflow.say_deadlock(bigint) IS 'Returns the end of a sentence about a limit whose slots depend on each other; null for null.';
REVOKE ALL ON FUNCTION workflow.say_deadlock(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.say_end_deadlock(execution bigint) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN execution IS NOT NULL THEN format('raise one of the limits, or SELECT workflow_cancel(%s); SELECT * FROM workflow_why(%s) says what it is waiting for', execution, execution) END;
COMMENT ON FUNCTION workflow.say_end_deadlock(bigint) IS 'Returns a hint on how to end a deadlock.';
REVOKE ALL ON FUNCTION workflow.say_end_deadlock(bigint) FROM PUBLIC;
