-- Retention: deletes executions that ended long ago, in steps as small as desired. What a definition's `keep` says is applied by
-- workflow_tick (retention.sql).
--
-- An execution that ended before a given time was also created before it. So the index of a workflow's executions by creation time
-- shows where to stop, and if nothing is old enough, nothing else is read. Old rows that are kept (still running, or ended with a
-- status that is not deleted) are skipped each time.

CREATE FUNCTION workflow.check_prune(older_than interval, statuses workflow.execution_status[]) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('older_than', older_than);
  IF older_than < interval '0' OR older_than > interval '1000 years' THEN
    PERFORM workflow.raise_error('WF613', 'older_than is out of range', format('older_than is %s.', older_than), 'Use 0 to 1000 years.');
  ELSIF EXISTS (SELECT FROM unnest(statuses) AS s(status) WHERE workflow.is_end(s.status) IS NOT TRUE) THEN
    PERFORM workflow.raise_error('WF613', 'a status is not final', format('statuses are %s.', left(statuses::text, 200)),
      'Use completed, failed, cancelled, timeout or abandoned.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_prune(interval, workflow.execution_status[]) IS
  'Raises WF613 if older_than is null or out of range, or a status is not final.';
REVOKE ALL ON FUNCTION workflow.check_prune(interval, workflow.execution_status[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_prune(older_than interval DEFAULT '30 days', max_rows int DEFAULT 1000,
  statuses workflow.execution_status[] DEFAULT NULL) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  ended_by timestamptz;
  wanted workflow.execution_status[] := coalesce(statuses, '{completed,failed,cancelled,timeout,abandoned}');
  chosen bigint[];
  foreign_parts int[] := workflow.foreign_parts();
BEGIN
  PERFORM workflow.check_prune(older_than, statuses);
  PERFORM workflow.page_size(max_rows);
  ended_by := workflow.now() - older_than;
  -- The workflow executions first, as the lock order demands. Executions in use are left for another call.
  SELECT array_agg(c.execution) INTO chosen
  FROM (SELECT old.execution FROM workflow.workflow_definition d
        CROSS JOIN LATERAL (
          SELECT w.execution FROM workflow.workflow_execution w
          JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
          WHERE w.workflow_def = d.id AND w.created <= ended_by AND e.status = ANY (wanted) AND e.updated <= ended_by
            AND e.parent IS NULL AND w.part <> ALL (foreign_parts)
            AND NOT EXISTS (SELECT FROM workflow.execution child
                            WHERE child.part = e.part AND child.parent = e.id AND NOT workflow.is_end(child.status))
          ORDER BY w.created, w.id LIMIT max_rows FOR UPDATE OF w SKIP LOCKED) AS old
        LIMIT max_rows) AS c;
  -- Checked again under the lock: a rerun may have come first.
  SELECT array_agg(e.id ORDER BY e.id) INTO chosen
  FROM unnest(chosen) AS c(id)
  JOIN workflow.execution e ON e.part = (c.id >> 48)::int AND e.id = c.id
  WHERE e.status = ANY (wanted) AND e.updated <= ended_by;
  RETURN workflow.delete_executions(coalesce(chosen, '{}'));
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_prune(interval, int, workflow.execution_status[]) IS
  'Deletes up to max_rows (1 to 10000) executions of workflows that ended at least older_than ago, oldest first within each workflow, with their tasks, signals, events, sub-workflows and all other dependent rows. They are archived first if workflow_archive_to has set an archive. statuses: only executions that ended with one of these (completed, failed, cancelled, timeout, abandoned); null means all. Returns the number of executions deleted: call again while it is max_rows. Safe at any time, even under load. Error: WF613 for null, older_than (0 to 1000 years) or max_rows out of range, or a status that is not final.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_prune(interval, int, workflow.execution_status[]) FROM PUBLIC;
