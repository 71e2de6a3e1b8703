-- Bulk jobs: apply one action to any number of executions, one step per workflow_tick.
--
-- A step processes about 200 executions: first those that were busy before, then the next ones that the search finds. It runs with
-- the privileges of the role that created the job, in a savepoint of its own, and waits for nothing: a tick already holds locks.
-- Only the owner may write workflow.bulk_job, because a step switches to the role that its row names.

CREATE FUNCTION workflow.search_by(filter jsonb, until timestamptz, max_rows int, after text) RETURNS SETOF workflow.found_execution
LANGUAGE plpgsql STABLE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  created tstzrange := coalesce((filter ->> 'created')::tstzrange, '(,)') * tstzrange(NULL, until, '[]');
BEGIN
  IF isempty(created) THEN
    RETURN;
  END IF;
  RETURN QUERY
  SELECT s.* FROM pg_catalog.workflow_search(
    workflow => filter ->> 'workflow',
    statuses => CASE WHEN jsonb_typeof(filter -> 'statuses') = 'array'
      THEN ARRAY(SELECT jsonb_array_elements_text(filter -> 'statuses'))::workflow.execution_status[] END,
    attributes => filter -> 'attributes', created => created, ended => (filter ->> 'ended')::tstzrange,
    error_code => filter ->> 'error_code', text => filter ->> 'text', has_failed_task => (filter ->> 'has_failed_task')::boolean,
    max_rows => max_rows, after => after) AS s;
END $$;
COMMENT ON FUNCTION workflow.search_by(jsonb, timestamptz, int, text) IS
  'Returns the executions created up to a time that match a filter, an object of arguments of workflow_search.';
REVOKE ALL ON FUNCTION workflow.search_by(jsonb, timestamptz, int, text) FROM PUBLIC;

CREATE FUNCTION workflow.check_keys(name text, given jsonb, known text[]) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  unknown text;
BEGIN
  IF jsonb_typeof(given) <> 'object' THEN
    PERFORM workflow.raise_error('WF613', format('%s must be a JSON object', name), format('It is of type %s.', jsonb_typeof(given)),
      format('Pass an object with any of these keys: %s.', array_to_string(known, ', ')));
  END IF;
  SELECT k.key INTO unknown FROM jsonb_object_keys(given) AS k(key) WHERE k.key <> ALL (known) ORDER BY k.key LIMIT 1;
  IF unknown IS NOT NULL THEN
    PERFORM workflow.raise_error('WF613', format('%s has an unknown key', name), format('The key is %s.', to_json(left(unknown, 200))),
      CASE WHEN known = '{}' THEN 'Remove it.' ELSE format('Use one of these keys: %s.', array_to_string(known, ', ')) END);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_keys(text, jsonb, text[]) IS
  'Raises WF613, naming the argument, if its value is not an object or has an unknown key.';
REVOKE ALL ON FUNCTION workflow.check_keys(text, jsonb, text[]) FROM PUBLIC;

CREATE FUNCTION workflow.check_apply(action text, filter jsonb, arguments jsonb) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  argument record;
BEGIN
  PERFORM workflow.require('action', action), workflow.require('filter', filter), workflow.require('arguments', arguments);
  IF action NOT IN ('pause', 'resume', 'cancel', 'rerun', 'signal', 'prune') THEN
    PERFORM workflow.raise_error('WF613', 'unknown action', format('action is %s.', quote_literal(left(action, 100))),
      'Use pause, resume, cancel, rerun, signal or prune.');
  END IF;
  PERFORM workflow.check_keys('filter', filter, '{workflow,statuses,attributes,created,ended,error_code,text,has_failed_task}');
  PERFORM workflow.check_keys('arguments', arguments, CASE action
    WHEN 'pause' THEN '{reason}' WHEN 'resume' THEN '{reason}' WHEN 'cancel' THEN '{reason,force}'
    WHEN 'rerun' THEN '{tasks,reset_items,reason}' WHEN 'signal' THEN '{name,payload,key,error}' ELSE '{}' END::text[]);
  IF filter = '{}' THEN
    PERFORM workflow.raise_error('WF613', 'filter must not be empty', NULL, 'State what executions must have; to match all of them, pass {"created": "(,)"}.');
  ELSIF octet_length(filter::text) > 100000 OR octet_length(arguments::text) > 1000000 THEN
    PERFORM workflow.raise_error('WF614', 'filter or arguments are too large', format('filter has %s bytes, arguments have %s.', octet_length(filter::text), octet_length(arguments::text)),
      'A filter can have at most 100000 bytes, arguments at most 1000000.');
  ELSIF action = 'signal' AND jsonb_typeof(arguments -> 'name') IS DISTINCT FROM 'string' THEN
    PERFORM workflow.raise_error('WF613', 'the name of the signal is missing', NULL, 'Pass arguments such as {"name": "approved"}.');
  END IF;
  FOR argument IN SELECT a.key, a.value, jsonb_typeof(a.value) AS type FROM jsonb_each(filter || arguments) AS a LOOP
    IF (argument.type <> CASE
        WHEN argument.key = 'attributes' THEN 'object' WHEN argument.key IN ('statuses', 'tasks') THEN 'array'
        WHEN argument.key IN ('force', 'reset_items', 'has_failed_task') THEN 'boolean'
        WHEN argument.key IN ('payload', 'error') THEN argument.type ELSE 'string' END) THEN
      PERFORM workflow.raise_error('WF613', format('%s has the wrong type', argument.key), format('It is of type %s.', argument.type),
        'Pass values as workflow_search and the action''s function expect them, and ranges as text, such as "[2026-01-01,)".');
    END IF;
  END LOOP;
  BEGIN
    PERFORM workflow.half_open('created', (filter ->> 'created')::tstzrange);
    -- The search itself reports whatever else is wrong with the filter.
    PERFORM FROM workflow.search_by(filter, workflow.now(), 1, NULL);
  EXCEPTION WHEN data_exception THEN
    IF SQLERRM ~ '^WF' THEN
      RAISE;
    END IF;
    PERFORM workflow.raise_error('WF613', 'the filter cannot be used', SQLERRM, 'Pass values as workflow_search expects them, and ranges as text, such as "[2026-01-01,)".');
  END;
END $$;
COMMENT ON FUNCTION workflow.check_apply(text, jsonb, jsonb) IS 'Raises WF613, WF614 or WF616 if the arguments of workflow_apply are invalid.';
REVOKE ALL ON FUNCTION workflow.check_apply(text, jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.add_bulk_job(action text, filter jsonb, arguments jsonb) RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_add_bulk_job_wrapper';
COMMENT ON FUNCTION workflow.add_bulk_job(text, jsonb, jsonb) IS
  'Creates a bulk job with the privileges of the calling role, and returns its id. Also deletes jobs that ended at least 90 days ago.';
REVOKE ALL ON FUNCTION workflow.add_bulk_job(text, jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.set_bulk_job_status(job bigint, status text) RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_set_bulk_job_status_wrapper';
COMMENT ON FUNCTION workflow.set_bulk_job_status(bigint, text) IS
  'Stops a running job, or continues one that was stopped or has failed; a completed job stays as it is. Returns its status, or null if there is no such job or the caller lacks the privileges of its role.';
REVOKE ALL ON FUNCTION workflow.set_bulk_job_status(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_apply(action text, filter jsonb, arguments jsonb DEFAULT '{}') RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.check_apply(action, filter, arguments);
  RETURN workflow.add_bulk_job(action, filter, arguments);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_apply(text, jsonb, jsonb) IS
  'Applies an action to all existing executions that match a filter, however many there are: creates a job that advances by one step at each workflow_tick, and returns its id. action: pause, resume, cancel, rerun, signal or prune. filter: an object of arguments of workflow_search, such as {"error_code": "declined", "attributes": {"tenant": "acme"}}, with ranges as text. arguments: an object of further arguments of the action, such as {"reason": "…"}. Steps run with the privileges of the calling role. workflow_list_bulk_jobs shows the progress, workflow_stop_bulk_job stops the job, and workflow_resume_bulk_job continues it. Executions that are locked when their turn comes are tried again later; those that refuse the action are counted. Errors: WF613 for null, an unknown action, an empty filter, or keys or values that the search or the action does not accept; WF614 if the arguments are too large; WF616 if there is no such workflow.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_apply(text, jsonb, jsonb) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_stop_bulk_job(job bigint) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  turned text;
BEGIN
  PERFORM workflow.require('job', job);
  turned := workflow.set_bulk_job_status(job, 'stopped');
  IF turned IS NULL THEN
    PERFORM workflow.raise_error('WF616', format('there is no bulk job %s of a role that you belong to', job), NULL, 'List jobs with workflow_list_bulk_jobs.');
  ELSIF turned <> 'stopped' THEN
    PERFORM workflow.raise_error('WF611', format('bulk job %s has %s', job, turned), NULL, 'Create a new job with workflow_apply.');
  END IF;
  RETURN turned;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_stop_bulk_job(bigint) IS
  'Stops a job of workflow_apply after the current step, if one is in progress. Completed steps are not undone. Stopping a stopped job changes nothing. Returns its status. Errors: WF611 if the job has ended, WF613 for null, WF616 if there is no such job or the caller lacks the privileges of its role.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_stop_bulk_job(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_resume_bulk_job(job bigint) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  turned text;
BEGIN
  PERFORM workflow.require('job', job);
  turned := workflow.set_bulk_job_status(job, 'running');
  IF turned IS NULL THEN
    PERFORM workflow.raise_error('WF616', format('there is no bulk job %s of a role that you belong to', job), NULL, 'List jobs with workflow_list_bulk_jobs.');
  ELSIF turned <> 'running' THEN
    PERFORM workflow.raise_error('WF611', format('bulk job %s has %s', job, turned), NULL, 'Create a new job with workflow_apply.');
  END IF;
  RETURN turned;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_resume_bulk_job(bigint) IS
  'Resumes a stopped or failed job of workflow_apply where it left off. Resuming a running job changes nothing. Returns its status. Errors: WF611 if the job has completed, WF613 for null, WF616 if there is no such job or the caller lacks the privileges of its role.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_resume_bulk_job(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_bulk_jobs(max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS TABLE (job bigint, action text, filter jsonb, arguments jsonb, status text, processed bigint, refused bigint, busy int,
  refusals jsonb, reached timestamptz, last_error text, author text, created timestamptz, updated timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT j.id, j.action, j.filter, j.arguments, j.status, j.processed, j.refused, cardinality(j.busy), j.refusals,
    CASE WHEN NOT j.is_searched AND j.reached IS NOT NULL
      THEN '2000-01-01 00:00:00+00'::timestamptz + split_part(j.reached, ':', 1)::bigint * interval '1 microsecond' END,
    j.last_error, j.author, j.created, j.updated
  FROM workflow.bulk_job AS j
  WHERE workflow_list_bulk_jobs.after IS NULL OR j.id < workflow_list_bulk_jobs.after
  ORDER BY j.id DESC LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_bulk_jobs(int, bigint) IS
  'Returns the jobs of workflow_apply, newest first, up to max_rows (1 to 10000) after the one with id after. status: running, stopped, completed or failed (see last_error). processed, refused: number of executions so far; refusals counts the refused ones by code. busy: number of executions that were locked and will be tried again. reached: creation time of the executions that the job has got to, newest first (null: it has not begun, or only busy ones are left). Error: WF613 if max_rows is out of range.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_bulk_jobs(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.bulk_step(action text, arguments jsonb, filter jsonb, until timestamptz, reached text, is_searched boolean, busy bigint[],
  max_rows int) RETURNS jsonb
-- The session that ticks may have turned row_security off, which raises an error for a role that is subject to policies.
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp SET row_security = on AS $$
#variable_conflict use_variable
DECLARE
  ids bigint[] := busy[1:max_rows];
  found record;
  answers jsonb;
BEGIN
  -- Busy executions come first.
  IF NOT is_searched AND cardinality(busy) < max_rows THEN
    SELECT array_agg(s.execution) FILTER (WHERE s.execution IS NOT NULL) AS ids, (array_agg(s.cursor ORDER BY s.place DESC))[1] AS cursor,
      count(*) = max_rows OR count(*) > count(s.execution) AS has_more
    INTO found
    FROM workflow.search_by(filter, until, max_rows, reached) WITH ORDINALITY
      AS s(execution, workflow_ref, status, ended, paused, error_code, error_message, attributes, created, ended_at, cursor, place);
    ids := ids || found.ids;
    is_searched := NOT found.has_more;
    reached := coalesce(found.cursor, reached);
  END IF;
  SELECT jsonb_build_object(
    'processed', count(*) FILTER (WHERE d.code IS NULL), 'refused', count(*) FILTER (WHERE d.code <> '55P03'),
    'busy', coalesce(jsonb_agg(d.execution) FILTER (WHERE d.code = '55P03'), '[]'),
    'refusals', coalesce((SELECT jsonb_object_agg(c.code, jsonb_build_object('count', c.count, 'message', c.message)) FROM (
      SELECT x ->> 'code' AS code, count(*), left(max(x ->> 'message'), 300) AS message
      FROM jsonb_array_elements(jsonb_agg(jsonb_build_object('code', d.code, 'message', d.message)) FILTER (WHERE d.code <> '55P03')) AS x
      GROUP BY x ->> 'code') AS c), '{}'))
  INTO answers FROM workflow.do_each(ids, action, arguments, false) AS d;
  RETURN answers || jsonb_build_object('reached', reached, 'is_searched', is_searched);
END $$;
COMMENT ON FUNCTION workflow.bulk_step(text, jsonb, jsonb, timestamptz, text, boolean, bigint[], int) IS
  'Performs one step of a job as the calling role: up to max_rows executions that were busy before, then up to max_rows that the search finds. Returns how many were processed, refused and busy, and how far the search has got.';
REVOKE ALL ON FUNCTION workflow.bulk_step(text, jsonb, jsonb, timestamptz, text, boolean, bigint[], int) FROM PUBLIC;

CREATE FUNCTION workflow.bulk_step_as(role regrole, author text, action text, arguments jsonb, filter jsonb, until timestamptz,
  reached text, is_searched boolean, busy bigint[], max_rows int) RETURNS jsonb
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_bulk_step_as_wrapper';
COMMENT ON FUNCTION workflow.bulk_step_as(regrole, text, text, jsonb, jsonb, timestamptz, text, boolean, bigint[], int) IS
  'Performs one step of a job with the privileges of a role, on behalf of an author. For the owner only, because it can switch to any role.';
REVOKE ALL ON FUNCTION workflow.bulk_step_as(regrole, text, text, jsonb, jsonb, timestamptz, text, boolean, bigint[], int) FROM PUBLIC;

CREATE FUNCTION workflow.step_bulk_job(job workflow.bulk_job, max_rows int, now timestamptz) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  -- A small step does not hold locks for long.
  most int := least(max_rows, 200);
  step jsonb;
  trouble text;
BEGIN
  -- Without this block, one broken job would make every tick fail.
  BEGIN
    step := workflow.bulk_step_as(job.role, job.author, job.action, job.arguments, job.filter, job.created, job.reached, job.is_searched,
      job.busy, most);
  EXCEPTION WHEN OTHERS THEN
    -- The caller of workflow_tick retries the whole call.
    IF SQLSTATE LIKE '40%' THEN
      RAISE;
    END IF;
    trouble := left(SQLERRM, 2000);
  END;
  IF trouble IS NOT NULL THEN
    UPDATE workflow.bulk_job AS j SET status = 'failed', last_error = trouble, updated = now WHERE j.id = job.id;
    RETURN 1;
  END IF;
  UPDATE workflow.bulk_job AS j SET
    reached = step ->> 'reached', is_searched = (step ->> 'is_searched')::boolean, updated = now,
    busy = ARRAY(SELECT b::bigint FROM jsonb_array_elements_text(step -> 'busy') AS b) || j.busy[most + 1:],
    processed = j.processed + (step ->> 'processed')::bigint, refused = j.refused + (step ->> 'refused')::bigint,
    refusals = (
      SELECT coalesce(jsonb_object_agg(r.code, jsonb_build_object('count', r.count, 'message', r.message)), '{}') FROM (
        SELECT e.key AS code, sum((e.value ->> 'count')::bigint) AS count, (array_agg(e.value ->> 'message' ORDER BY e.round DESC))[1] AS message
        FROM (SELECT o.key, o.value, 1 AS round FROM jsonb_each(j.refusals) AS o
              UNION ALL SELECT n.key, n.value, 2 FROM jsonb_each(step -> 'refusals') AS n) AS e
        GROUP BY e.key ORDER BY e.key LIMIT 100) AS r),
    status = CASE WHEN (step ->> 'is_searched')::boolean AND step -> 'busy' = '[]' AND j.busy[most + 1:] = '{}' THEN 'completed' ELSE j.status END
  WHERE j.id = job.id;
  -- 0: all remaining executions are locked by others, so the next tick need not follow immediately.
  RETURN greatest((step ->> 'processed')::int + (step ->> 'refused')::int, (step ->> 'reached' IS DISTINCT FROM job.reached)::int);
END $$;
COMMENT ON FUNCTION workflow.step_bulk_job(workflow.bulk_job, int, timestamptz) IS
  'Performs one step of a locked job, covering about max_rows executions, and records it. Returns how many were processed or refused, but at least 1 if the search made progress.';
REVOKE ALL ON FUNCTION workflow.step_bulk_job(workflow.bulk_job, int, timestamptz) FROM PUBLIC;
