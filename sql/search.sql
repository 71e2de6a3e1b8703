-- Finds executions by workflow, status, attributes, time and error.
--
-- A search goes from the newest execution to older ones and examines a bounded number of them per call (api/search.rs). If that
-- bound is reached before the page is full, the last row has no execution, only the cursor to continue from.

CREATE TYPE workflow.found_execution AS (
  execution bigint, workflow_ref text, status workflow.execution_status, ended boolean, paused boolean, error_code text,
  error_message text, attributes jsonb, created timestamptz, ended_at timestamptz, cursor text);
COMMENT ON TYPE workflow.found_execution IS
  'A row of workflow_search. A row whose execution is null only says how far the search has got: every column except cursor is null.';

COMMENT ON COLUMN workflow.found_execution.execution IS 'The execution; NULL: the search stopped here and must be continued from the cursor.';
COMMENT ON COLUMN workflow.found_execution.workflow_ref IS 'Its workflow.';
COMMENT ON COLUMN workflow.found_execution.status IS 'The verdict so far.';
COMMENT ON COLUMN workflow.found_execution.ended IS 'Whether its last task has ended, too.';
COMMENT ON COLUMN workflow.found_execution.paused IS 'Whether it is paused.';
COMMENT ON COLUMN workflow.found_execution.error_code IS
  'The code of its first error: the engine''s, or the code or type that a worker reported; truncated to 100 characters.';
COMMENT ON COLUMN workflow.found_execution.error_message IS 'Why it failed.';
COMMENT ON COLUMN workflow.found_execution.attributes IS 'Its attributes; NULL: none.';
COMMENT ON COLUMN workflow.found_execution.created IS 'When it was created.';
COMMENT ON COLUMN workflow.found_execution.ended_at IS 'When it ended; NULL: it has not.';
COMMENT ON COLUMN workflow.found_execution.cursor IS 'Cursor: pass it as after to continue from here.';

CREATE FUNCTION workflow.search(workflow_def bigint, statuses text[], attributes jsonb, created_from timestamptz,
  created_to timestamptz, ended_from timestamptz, ended_to timestamptz, error_code text, message text, has_failed_task boolean,
  max_rows int, after text)
RETURNS TABLE (execution bigint, cursor text)
LANGUAGE c STABLE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_search_places_wrapper';
COMMENT ON FUNCTION workflow.search(bigint, text[], jsonb, timestamptz, timestamptz, timestamptz, timestamptz, text, text, boolean, int, text) IS
  'Returns the executions that match all filters, newest first, each with its cursor, after the one whose cursor is given as after. If the bound on executions examined was reached, the last row has no execution, and the caller must continue from its cursor.';
REVOKE ALL ON FUNCTION workflow.search(bigint, text[], jsonb, timestamptz, timestamptz, timestamptz, timestamptz, text, text, boolean, int, text) FROM PUBLIC;

CREATE FUNCTION workflow.half_open(name text, span tstzrange) RETURNS timestamptz[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF isempty(span) THEN
    PERFORM workflow.raise_error('WF613', format('%s must not be an empty range', name), NULL, 'Pass a range such as tstzrange(''2026-01-01'', NULL).');
  END IF;
  -- What is not before the last instant that can be represented is not before infinity either.
  RETURN ARRAY[
    CASE WHEN lower_inc(span) THEN lower(span) WHEN lower(span) < '294276-12-31 23:59:59.999999+00' THEN lower(span) + interval '1 microsecond'
      WHEN NOT lower_inf(span) THEN 'infinity' END,
    CASE WHEN NOT upper_inc(span) THEN upper(span) WHEN upper(span) < '294276-12-31 23:59:59.999999+00' THEN upper(span) + interval '1 microsecond'
      WHEN NOT upper_inf(span) THEN 'infinity' END];
END $$;
COMMENT ON FUNCTION workflow.half_open(text, tstzrange) IS
  'Returns the first instant of a range and the first instant after it, or null where the range is unbounded. Raises WF613, naming the argument, if the range is empty.';
REVOKE ALL ON FUNCTION workflow.half_open(text, tstzrange) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_search(workflow text DEFAULT NULL, statuses workflow.execution_status[] DEFAULT NULL,
  attributes jsonb DEFAULT NULL, created tstzrange DEFAULT NULL, ended tstzrange DEFAULT NULL, error_code text DEFAULT NULL,
  text text DEFAULT NULL, has_failed_task boolean DEFAULT NULL, max_rows int DEFAULT 100, after text DEFAULT NULL)
RETURNS SETOF workflow.found_execution
-- The rows found are looked up by key, whatever the statistics and the caller's settings say about the size of the tables.
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
  definition bigint;
  created_in timestamptz[] := workflow.half_open('created', workflow_search.created);
  ended_in timestamptz[] := workflow.half_open('ended', workflow_search.ended);
BEGIN
  PERFORM workflow.page_size(max_rows);
  IF workflow_search.workflow IS NOT NULL THEN
    SELECT d.id INTO definition FROM workflow.workflow_definition AS d WHERE d.ref = workflow_search.workflow;
    IF definition IS NULL THEN
      PERFORM workflow.raise_error('WF616', format('there is no workflow %s', quote_literal(left(workflow_search.workflow, 200))), NULL,
        'List workflows with workflow_list_definitions.');
    END IF;
  END IF;
  RETURN QUERY
  SELECT f.execution, e.action_ref, w.status, workflow.is_end(e.status), w.paused,
    left(coalesce(w.errors #>> '{0,code}', w.errors #>> '{0,error,code}', w.errors #>> '{0,error,type}'), 100),
    w.error_message, w.attributes, w.created, CASE WHEN workflow.is_end(e.status) THEN e.updated END, f.cursor
  FROM workflow.search(definition, workflow_search.statuses::text[], workflow_search.attributes, created_in[1], created_in[2],
    ended_in[1], ended_in[2], workflow_search.error_code, workflow_search.text, workflow_search.has_failed_task,
    workflow_search.max_rows, workflow_search.after) WITH ORDINALITY AS f(execution, cursor, place)
  LEFT JOIN LATERAL (SELECT o.* FROM workflow.workflow_execution AS o
    WHERE o.part = (f.execution >> 48)::int AND o.id = f.execution OFFSET 0) AS w ON true
  LEFT JOIN LATERAL (SELECT o.* FROM workflow.execution AS o
    WHERE o.part = (f.execution >> 48)::int AND o.id = f.execution OFFSET 0) AS e ON true
  ORDER BY f.place;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_search(text, workflow.execution_status[], jsonb, tstzrange, tstzrange, text, text, boolean, int, text) IS
  'Finds executions that match all filters, newest first, up to max_rows (1 to 10000). workflow: a ref; statuses: the allowed statuses; attributes: attributes the execution must contain; created, ended: time ranges; error_code: the code of the first error, or the code or type the worker reported; text: text that an error message contains, ignoring case; has_failed_task: whether any task has failed, even if the failure was handled. Executions called by others are included. For the next page, pass the cursor of the last row as after, until no rows are returned. A call examines at most about 10000 executions; if it stops before the page is full, its last row has a cursor but no execution. Errors: WF613 for an argument out of range, an empty range, attributes that are not an object, or a malformed cursor; WF614 for attributes of more than 8192 bytes; WF616 if there is no such workflow.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_search(text, workflow.execution_status[], jsonb, tstzrange, tstzrange, text, text, boolean, int, text) FROM PUBLIC;
