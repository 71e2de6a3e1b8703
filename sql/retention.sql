-- Retention by definition: workflow_tick deletes executions that ended longer ago than their workflow's `keep` says, or
-- pg_workflow.keep if it says nothing.
--
-- There is one row per workflow and status that has a retention period. It records how far the executions of the workflow, in order
-- of creation, have been examined, so that executions that are kept are not read again at each tick. Executions that had not ended
-- when they were examined, or not long enough ago, are found in the next round, which begins after a tenth of the retention period,
-- at least an hour and at most a day. The engine reads only the row's index (engine/retention.rs).
--
-- Deleted executions can be archived in the same transaction, by a function or into a table, with the privileges of the role that
-- chose it: workflow_archive_to.

CREATE TABLE workflow.retention (
  workflow_def bigint NOT NULL REFERENCES workflow.workflow_definition ON DELETE CASCADE,
  status workflow.execution_status NOT NULL,
  next_at timestamptz NOT NULL,
  seen_created timestamptz,
  seen_id bigint,
  round_at timestamptz,
  last_error text,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workflow_def, status)
);
CREATE INDEX retention_next_idx ON workflow.retention (next_at);
COMMENT ON TABLE workflow.retention IS
  'Progress of workflow_tick in deleting executions whose retention period is over, by workflow and status.';
COMMENT ON COLUMN workflow.retention.workflow_def IS 'The workflow.';
COMMENT ON COLUMN workflow.retention.status IS 'The status that its executions ended with.';
COMMENT ON COLUMN workflow.retention.next_at IS 'When to look for executions to delete next.';
COMMENT ON COLUMN workflow.retention.seen_created IS 'When the last execution examined was created; NULL: a round begins.';
COMMENT ON COLUMN workflow.retention.seen_id IS 'Id of the last execution examined.';
COMMENT ON COLUMN workflow.retention.round_at IS 'When the next round begins, starting with the oldest execution.';
COMMENT ON COLUMN workflow.retention.last_error IS
  'Why some of the executions due could not be archived, and so were not deleted, at the last attempt; NULL: all were.';
COMMENT ON COLUMN workflow.retention.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.retention.updated IS 'When the row last changed.';
SELECT pg_catalog.pg_extension_config_dump('workflow.retention', '');

CREATE TABLE workflow.archive (
  only_row boolean PRIMARY KEY DEFAULT true CONSTRAINT archive_only_row_check CHECK (only_row),
  kind text NOT NULL CONSTRAINT archive_kind_check CHECK (kind IN ('function', 'table')),
  schema_name text NOT NULL,
  object_name text NOT NULL,
  role regrole NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workflow.archive IS
  'Where executions are archived when they are deleted, as set by workflow_archive_to: at most one row. Only the owner can read or write it.';
COMMENT ON COLUMN workflow.archive.only_row IS 'Primary key: true.';
COMMENT ON COLUMN workflow.archive.kind IS 'function or table.';
COMMENT ON COLUMN workflow.archive.schema_name IS 'Schema of the function or table.';
COMMENT ON COLUMN workflow.archive.object_name IS 'Name of the function or table.';
COMMENT ON COLUMN workflow.archive.role IS 'The role that called workflow_archive_to, with whose privileges the archive is written.';
COMMENT ON COLUMN workflow.archive.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.archive.updated IS 'When the row last changed.';
SELECT pg_catalog.pg_extension_config_dump('workflow.archive', '');

CREATE FUNCTION workflow.plan_retention(definition_id bigint, definition jsonb, now timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Statuses whose retention has not changed are examined again, too: the next check decides.
  UPDATE workflow.retention r SET next_at = now, seen_created = NULL, seen_id = NULL, round_at = NULL, updated = now
  WHERE r.workflow_def = definition_id;
  INSERT INTO workflow.retention (workflow_def, status, next_at, created, updated)
  SELECT definition_id, k.status::workflow.execution_status, now, now, now
  FROM jsonb_each(definition -> 'keep') AS k(status, seconds) WHERE jsonb_typeof(k.seconds) = 'number'
  ON CONFLICT (workflow_def, status) DO NOTHING;
END $$;
COMMENT ON FUNCTION workflow.plan_retention(bigint, jsonb, timestamptz) IS
  'Makes the next tick apply what a new version of a workflow says about keeping its executions.';
REVOKE ALL ON FUNCTION workflow.plan_retention(bigint, jsonb, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.archive_executions(executions bigint[]) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_archive_executions_wrapper';
COMMENT ON FUNCTION workflow.archive_executions(bigint[]) IS
  'Archives executions, each with everything that belongs to it, with the privileges of the role that set the archive. Does nothing if there is no archive.';
REVOKE ALL ON FUNCTION workflow.archive_executions(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.archived_form(execution_id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  this_part int := (execution_id >> 48)::int;
  family bigint[];
BEGIN
  WITH RECURSIVE member AS (
    SELECT execution_id AS id
    UNION ALL
    SELECT e.id FROM member m JOIN workflow.execution e ON e.part = this_part AND e.parent = m.id)
  SELECT array_agg(m.id ORDER BY m.id) INTO family FROM member m;
  RETURN jsonb_build_object(
    'executions', (SELECT jsonb_agg(to_jsonb(e) ORDER BY e.id) FROM unnest(family) AS f(id)
                   JOIN workflow.execution e ON e.part = this_part AND e.id = f.id),
    'workflow_executions', (SELECT jsonb_agg(to_jsonb(w) - 'state' ORDER BY w.id) FROM unnest(family) AS f(id)
                            JOIN workflow.workflow_execution w ON w.part = this_part AND w.id = f.id),
    'tasks', coalesce((SELECT jsonb_agg(to_jsonb(t) ORDER BY t.id) FROM unnest(family) AS f(id)
                       JOIN workflow.workflow_task_execution t ON t.part = this_part AND t.workflow_execution = f.id), '[]'),
    'signals', coalesce((SELECT jsonb_agg(to_jsonb(s) ORDER BY s.id) FROM unnest(family) AS f(id)
                         JOIN workflow.signal s ON s.part = this_part AND s.execution = f.id), '[]'),
    'events', coalesce((SELECT jsonb_agg(to_jsonb(v) ORDER BY v.id) FROM unnest(family) AS f(id)
                        JOIN workflow.event v ON v.part = this_part AND v.execution = f.id), '[]'));
END $$;
COMMENT ON FUNCTION workflow.archived_form(bigint) IS
  'Returns an execution with everything that belongs to it as one object: executions (itself and those it has called), workflow_executions, tasks, signals and events.';
REVOKE ALL ON FUNCTION workflow.archived_form(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.delete_executions(executions bigint[]) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  deleted int;
BEGIN
  PERFORM workflow.archive_executions(executions);
  DELETE FROM workflow.execution e USING unnest(executions) AS c(id) WHERE e.part = (c.id >> 48)::int AND e.id = c.id;
  GET DIAGNOSTICS deleted = ROW_COUNT;
  RETURN deleted;
END $$;
COMMENT ON FUNCTION workflow.delete_executions(bigint[]) IS
  'Archives and deletes executions that have ended, which the caller has locked, with everything that belongs to them. Returns how many.';
REVOKE ALL ON FUNCTION workflow.delete_executions(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.delete_archivable(executions bigint[], now timestamptz) RETURNS TABLE (deleted int, trouble text)
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  one bigint;
  problem text;
  detail text;
BEGIN
  BEGIN
    deleted := workflow.delete_executions(executions);
    RETURN NEXT;
    RETURN;
  EXCEPTION WHEN OTHERS THEN
    -- Whatever the error is: an archive could raise a serialization failure each time, and the tick would never succeed.
    deleted := 0;
  END;
  -- One by one, so that a failure to archive one does not stop the others.
  FOREACH one IN ARRAY executions LOOP
    BEGIN
      deleted := deleted + workflow.delete_executions(ARRAY[one]);
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS problem = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
      problem := left(concat_ws(': ', problem, nullif(detail, '')), 1000);
      trouble := coalesce(trouble, format('execution %s: %s', one, problem));
      -- Each round encounters it again: the same error is not logged twice.
      INSERT INTO workflow.event (part, id, execution, kind, message, created, updated)
      SELECT (one >> 48)::int, workflow.make_id((one >> 48)::int, nextval('workflow.event_id_seq')), one, 'archive_failed', problem, now, now
      WHERE NOT EXISTS (SELECT FROM workflow.event v
        WHERE v.part = (one >> 48)::int AND v.execution = one AND v.kind = 'archive_failed' AND v.message = problem);
    END;
  END LOOP;
  RETURN NEXT;
END $$;
COMMENT ON FUNCTION workflow.delete_archivable(bigint[], timestamptz) IS
  'Archives and deletes executions that have ended, which the caller has locked. Executions that cannot be archived are kept and get an event. Returns the number deleted, and the first error.';
REVOKE ALL ON FUNCTION workflow.delete_archivable(bigint[], timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_archive_to(target text) RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_archive_to_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_archive_to(text) IS
  'Sets where executions are archived when workflow_tick or workflow_prune deletes them, in the same transaction and with the privileges of the role that calls this. target: a function that takes a jsonb and is called once per execution, written schema.name(jsonb); a table with the columns execution bigint and data jsonb, written schema.name; or null for no archive, the default. The jsonb object has the keys executions (the execution and all that it has called), workflow_executions, tasks, signals and events. An execution that cannot be archived is not deleted: it gets the event archive_failed, and workflow.retention.last_error says why. Errors: WF613 for a malformed target; WF616 if there is no such function or table.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_archive_to(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_archive() RETURNS TABLE (kind text, target text, role text)
LANGUAGE c STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_find_archive_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_find_archive() IS
  'Returns where executions are archived when they are deleted: whether it is a function or a table, its name, and the role with whose privileges it is written. Returns no row if there is no archive.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_archive() FROM PUBLIC;
