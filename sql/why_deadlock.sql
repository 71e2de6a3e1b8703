-- Whether those that have the slots of a limit are waiting, in turn, for what waits for the limit.

CREATE FUNCTION workflow.slot_execution(task bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN task < 0 THEN -task ELSE (
  SELECT t.execution FROM workflow.workflow_task_execution AS t WHERE t.part = (slot_execution.task >> 48)::int AND t.id = slot_execution.task AND t.calls) END;
COMMENT ON FUNCTION workflow.slot_execution(bigint) IS
  'Returns the execution that must end before a slot becomes free, given the task of the slot; null: a worker executes the task.';
REVOKE ALL ON FUNCTION workflow.slot_execution(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.awaited_keys(execution bigint) RETURNS SETOF bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN QUERY WITH RECURSIVE family AS (
      SELECT awaited_keys.execution AS id
      UNION
      SELECT t.execution FROM family AS f
      JOIN workflow.workflow_task_execution AS t ON t.part = (f.id >> 48)::int AND t.workflow_execution = f.id
      WHERE t.calls AND t.execution IS NOT NULL AND NOT workflow.is_end(t.status))
    SELECT DISTINCT coalesce(w.limit_key, t.limit_key) FROM (SELECT f.id FROM family AS f LIMIT 100) AS f
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

CREATE FUNCTION workflow.find_deadlock(key bigint) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  holder bigint;
  first bigint;
  count int := 0;
BEGIN
  FOR holder IN
    SELECT workflow.slot_execution(s.task) FROM workflow.limit_slot AS s
    WHERE s.key = find_deadlock.key AND s.task IS NOT NULL ORDER BY s.number LIMIT 21
  LOOP
    count := count + 1;
    IF count > 20 OR holder IS NULL THEN
      RETURN NULL;  -- A task that a worker executes will end.
    END IF;
    IF NOT EXISTS (
      WITH RECURSIVE awaited AS (
        SELECT a.key FROM workflow.awaited_keys(holder) AS a(key)
        UNION
        SELECT n.key FROM awaited AS a
        CROSS JOIN LATERAL (
          SELECT s.task FROM workflow.limit_slot AS s WHERE s.key = a.key AND s.task IS NOT NULL LIMIT 20) AS s
        CROSS JOIN LATERAL workflow.awaited_keys(workflow.slot_execution(s.task)) AS n(key))
      SELECT FROM (SELECT a.key FROM awaited AS a LIMIT 100) AS a WHERE a.key = find_deadlock.key)
    THEN
      RETURN NULL;
    END IF;
    first := coalesce(first, holder);
  END LOOP;
  RETURN first;
END $$;
COMMENT ON FUNCTION workflow.find_deadlock(bigint) IS
  'If all that have the slots of a key are waiting, directly or through others, for a slot of the same key, returns the first of these executions. Examines up to 20 slots of a key, and up to 100 keys.';
REVOKE ALL ON FUNCTION workflow.find_deadlock(bigint) FROM PUBLIC;

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
