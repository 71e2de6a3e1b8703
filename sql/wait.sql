-- Waits for an execution to end, within one call.
--
-- Each check is a statement of its own in a volatile function, so it sees what others have committed in the meantime. Between
-- checks it sleeps for increasing intervals on the process latch: a cancel request or server shutdown wakes it immediately. It
-- writes nothing and locks no row. But the caller's statement holds a snapshot, which keeps vacuum from removing rows that die in
-- the meantime: hence the time limit. NOTIFY would avoid polling, but listeners are notified only between transactions.

CREATE FUNCTION workflow.check_wait(timeout interval) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('timeout', timeout);
  IF timeout < interval '0' OR timeout > interval '10 minutes' THEN
    PERFORM workflow.raise_error('WF613', 'timeout is out of range', format('timeout is %s.', timeout),
      'Use 0 to 10 minutes, and wait again while ended is false.');
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    PERFORM workflow.raise_error('WF611', format('a %s transaction cannot wait for an execution, because it would not see its progress',
      current_setting('transaction_isolation')), NULL, 'Wait in a READ COMMITTED transaction.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_wait(interval) IS
  'Raises WF613 if a timeout is not 0 to 10 minutes, and WF611 if the transaction would not see the progress of an execution.';
REVOKE ALL ON FUNCTION workflow.check_wait(interval) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_wait(execution_id bigint, timeout interval DEFAULT '1 minute')
RETURNS TABLE (execution bigint, workflow_ref text, status workflow.execution_status, ended boolean, paused boolean,
  pause_reason text, current_tasks text[], completed_tasks text[], failed_tasks text[], skipped_tasks text[], closing_tasks text[],
  undo text,
  parameters jsonb, variables jsonb, output jsonb, error_message text, errors jsonb, idempotency_key text, created timestamptz,
  updated timestamptz, attributes jsonb, traceparent text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
  -- How long the caller waits is measured by the real clock, whatever the engine's clock says.
  give_up timestamptz;
  left_over float8;
  nap float8 := 0.005;
  is_over boolean;
  is_ours boolean;
BEGIN
  PERFORM workflow.check_wait(timeout);
  give_up := clock_timestamp() + timeout;
  LOOP
    SELECT workflow.is_end(e.status), pg_current_xact_id_if_assigned()::xid IN (e.xmin, w.xmin) INTO is_over, is_ours
    FROM workflow.execution e JOIN workflow.workflow_execution w ON w.part = e.part AND w.id = e.id
    WHERE e.part = run.part AND e.id = run.execution;
    left_over := extract(epoch FROM give_up - clock_timestamp());
    EXIT WHEN is_over IS NOT FALSE OR left_over <= 0;
    IF is_ours THEN
      PERFORM workflow.raise_error('WF611', format('execution %s was changed in this transaction, and cannot progress until that commits', execution_id),
        NULL, 'Commit the transaction before waiting.');
    END IF;
    PERFORM pg_sleep(least(nap, left_over));
    nap := least(nap * 1.5, 0.25);
  END LOOP;
  RETURN QUERY SELECT s.* FROM pg_catalog.workflow_status(execution_id) AS s;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_wait(bigint, interval) IS
  'Waits until an execution has ended, or until the timeout (0 to 10 minutes) has elapsed, and returns its row as workflow_status does; ended says which of the two happened. Locks no row and assigns no transaction id. Errors: WF611 at an isolation level above READ COMMITTED, and if the transaction itself has started or changed the execution; WF613 for null or a timeout out of range; WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_wait(bigint, interval) FROM PUBLIC;
