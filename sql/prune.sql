-- Retention: what has ended long ago goes, in steps as small as one likes.

CREATE FUNCTION pg_catalog.workflow_prune(older_than interval DEFAULT '30 days', max_rows int DEFAULT 1000) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now timestamptz := workflow.now();
  chosen bigint[];
  pruned int;
BEGIN
  PERFORM workflow.require('older_than', older_than);
  PERFORM workflow.page_size(max_rows);
  IF older_than < interval '0' OR older_than > interval '1000 years' THEN
    PERFORM workflow.raise_error('WF613', 'older_than is out of range', format('older_than is %s', older_than), 'give 0 to 1000 years');
  END IF;
  -- The workflow executions first: the order of locks. Those that somebody works on are left for another time.
  SELECT array_agg(c.execution) INTO chosen
  FROM (SELECT w.execution FROM workflow.workflow_execution w
        JOIN workflow.execution e ON e.part = w.part AND e.id = w.execution
        WHERE workflow.is_end(e.status) AND e.updated <= now - older_than AND e.parent IS NULL
          AND NOT EXISTS (SELECT FROM workflow.execution child
                          WHERE child.part = e.part AND child.parent = e.id AND NOT workflow.is_end(child.status))
        ORDER BY w.part, w.id LIMIT max_rows FOR UPDATE OF w SKIP LOCKED) AS c;
  -- Looked at once more under the lock: a rerun may have been quicker.
  DELETE FROM workflow.execution e
  USING unnest(chosen) AS c(id)
  WHERE e.part = (c.id >> 48)::int AND e.id = c.id AND workflow.is_end(e.status) AND e.updated <= now - older_than;
  GET DIAGNOSTICS pruned = ROW_COUNT;
  RETURN pruned;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_prune(interval, int) IS
  'Deletes up to max_rows (1 to 10000) executions of workflows that ended at least older_than ago, oldest first, with their tasks and whatever else hangs on them. Gives how many: call again while it is max_rows. Safe at any time, also while others work. Error: WF613 for null, for older_than out of range (0 to 1000 years), and for max_rows out of range.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_prune(interval, int) FROM PUBLIC;
