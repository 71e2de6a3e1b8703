-- Erases one execution immediately, whether or not it has ended, for example to delete a person's data.

CREATE FUNCTION workflow.try_lock_family(members bigint[]) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  home int := members[1] >> 48;
  wanted bigint;
  locked bigint;
BEGIN
  -- While these locks are held, nobody can add a row that refers to the executions.
  SELECT count(*) INTO wanted FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = ANY (members);
  PERFORM FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = ANY (members) FOR UPDATE SKIP LOCKED;
  GET DIAGNOSTICS locked = ROW_COUNT;
  IF locked < wanted THEN
    RETURN false;
  END IF;
  SELECT count(*) INTO wanted FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.workflow_execution = ANY (members);
  PERFORM FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.workflow_execution = ANY (members) FOR UPDATE SKIP LOCKED;
  GET DIAGNOSTICS locked = ROW_COUNT;
  RETURN locked >= wanted;
END $$;
COMMENT ON FUNCTION workflow.try_lock_family(bigint[]) IS
  'Locks executions of one part and their tasks for deletion, without waiting. Returns whether all of them are locked.';
REVOKE ALL ON FUNCTION workflow.try_lock_family(bigint[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_erase(execution_id bigint) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  home int := execution_id >> 48;
  caller bigint;
  members bigint[];
  level bigint[] := ARRAY[execution_id];
  behind bigint[];
  give_up timestamptz := clock_timestamp() + interval '10 seconds';
BEGIN
  PERFORM workflow.require('execution_id', execution_id);
  PERFORM workflow.require_part(home);
  SELECT e.parent INTO caller FROM workflow.execution AS e WHERE e.part = home AND e.id = execution_id;
  IF NOT FOUND THEN
    PERFORM workflow.raise_error('WF616', format('there is no execution %s', execution_id), NULL, 'Pass the id that workflow_start returned.');
  ELSIF caller IS NOT NULL THEN
    PERFORM workflow.raise_error('WF611', format('execution %s is called by execution %s', execution_id, caller), NULL,
      'Erase the root execution: it is the first row of workflow_tree for any execution below it.');
  END IF;
  -- From callers to called executions, as the lock order demands: a locked execution makes no new calls.
  WHILE level <> '{}' LOOP
    members := members || level;
    PERFORM FROM workflow.workflow_execution AS w WHERE w.part = home AND w.id = ANY (level)
    ORDER BY w.depth, w.id FOR NO KEY UPDATE;
    level := ARRAY(SELECT e.id FROM workflow.execution AS e WHERE e.part = home AND e.parent = ANY (level) ORDER BY e.id);
  END LOOP;
  -- A session that is claiming or reporting a task at this moment needs no lock that is held here, so it will soon be done. No
  -- session that has locked an execution waits for a task.
  WHILE NOT workflow.try_lock_family(members) LOOP
    IF clock_timestamp() > give_up THEN
      PERFORM workflow.raise_error('WF611', format('execution %s is in use', execution_id),
        'Another transaction has claimed or reported a task of it, and has not ended.', 'Try again once that transaction has ended.');
    END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  -- The next claim or tick notices what has been waiting for the limit slots that this frees, or for those that were freed for tasks in
  -- the queue.
  WITH freed AS (
    UPDATE workflow.limit_slot AS s SET task = NULL
    WHERE s.task IN (SELECT t.id FROM workflow.workflow_task_execution AS t WHERE t.part = home AND t.workflow_execution = ANY (members)
                     UNION ALL SELECT -m.id FROM unnest(members) AS m(id))
    RETURNING s.key)
  SELECT array_agg(k.id) INTO behind FROM workflow.limit_key AS k
  WHERE k.check_at IS NOT NULL AND (k.id IN (SELECT f.key FROM freed AS f) OR (k.limit_name, k.key) IN (
    SELECT l.entry ->> 0, l.entry ->> 1
    FROM (SELECT o.limits, o.queue_at FROM workflow.workflow_task_execution AS o
          WHERE o.part = home AND o.workflow_execution = ANY (members) OFFSET 0) AS t
    CROSS JOIN LATERAL jsonb_array_elements(t.limits) AS l(entry)
    WHERE t.queue_at IS NOT NULL));
  PERFORM workflow.request_limit_checks(behind);
  DELETE FROM workflow.execution AS e WHERE e.part = home AND e.id = execution_id;
  RETURN CASE WHEN FOUND THEN cardinality(members) ELSE 0 END;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_erase(bigint) IS
  'Deletes an execution and all executions that it calls, immediately and whether or not they have ended: parameters, variables, attributes, tasks, signals, events and results. None of their tasks runs again, not even those that would undo or close the execution; a worker that holds one of its tasks learns at its next report or heartbeat that the lease is lost. Returns the number of executions deleted. Copies that PostgreSQL itself keeps (WAL archives, backups, lagging replicas) are not erased. Errors: WF611 if another execution calls it, or if one of its tasks stays locked for 10 seconds; WF613 for null; WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_erase(bigint) FROM PUBLIC;
