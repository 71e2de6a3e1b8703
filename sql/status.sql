-- The state of an execution, as a row, as a diagram, and as a consistency check.

CREATE FUNCTION workflow.require_run(execution_id bigint) RETURNS workflow.workflow_execution
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  run workflow.workflow_execution;
BEGIN
  PERFORM workflow.require('execution_id', execution_id);
  SELECT w.* INTO run FROM workflow.workflow_execution w
  WHERE w.part = (execution_id >> 48)::int AND w.id = require_run.execution_id;
  IF run.id IS NULL THEN
    PERFORM workflow.require_part((execution_id >> 48)::int);
    PERFORM workflow.raise_error('WF616', format('there is no execution %s', execution_id), NULL,
      'Pass the id that workflow_start returned.');
  END IF;
  RETURN run;
END $$;
COMMENT ON FUNCTION workflow.require_run(bigint) IS
  'Returns the workflow execution of an execution. Raises WF613 for null, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION workflow.require_run(bigint) FROM PUBLIC;

CREATE FUNCTION workflow.closing_tasks(run workflow.workflow_execution) RETURNS text[]
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF run.version IS NULL OR run.status IN ('running', 'completed') THEN
    RETURN '{}';
  END IF;
  RETURN ARRAY(
    SELECT t.task_name FROM workflow.workflow_task_execution t
    WHERE t.part = run.part AND t.workflow_execution = run.id AND t.closing AND t.started_at IS NOT NULL
    GROUP BY t.task_name ORDER BY min(t.id) LIMIT 100);
END $$;
COMMENT ON FUNCTION workflow.closing_tasks(workflow.workflow_execution) IS
  'Returns the names of the tasks that have begun and that close an execution which has failed, timed out or been cancelled: up to 100, in the order in which they were created.';
REVOKE ALL ON FUNCTION workflow.closing_tasks(workflow.workflow_execution) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_status(execution_id bigint)
RETURNS TABLE (execution bigint, workflow_ref text, status workflow.execution_status, ended boolean, paused boolean,
  pause_reason text, current_tasks text[], completed_tasks text[], failed_tasks text[], skipped_tasks text[], closing_tasks text[],
  undo text, parameters jsonb, variables jsonb, output jsonb, error_message text, errors jsonb, idempotency_key text, created timestamptz,
  updated timestamptz, attributes jsonb, traceparent text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
BEGIN
  RETURN QUERY
  SELECT run.id, e.action_ref, run.status, workflow.is_end(e.status), run.paused, run.pause_reason, r.current_tasks,
    r.completed_tasks, r.failed_tasks, r.skipped_tasks, workflow.closing_tasks(run), run.state #>> '{undo,phase}', e.config, r.variables, e.result,
    run.error_message, coalesce(run.errors, '[]'), e.idempotency_key, run.created, greatest(run.updated, e.updated), run.attributes,
    run.traceparent
  FROM workflow.execution e, workflow.readable(run) r
  WHERE e.part = run.part AND e.id = run.execution;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_status(bigint) IS
  'Returns one row with the state of an execution, given the id that workflow_start returned. status is the verdict so far; ended says whether the last task has ended too. The task lists contain names; closing_tasks are tasks that have begun in order to close an execution that failed, timed out or was cancelled. undo: progress in undoing completed tasks: pending, running, done, failed, or stopped by force; null if there is nothing to undo. errors contains everything that went wrong, as objects with time, message, task, item and code; error_message is the message of the first. output is set once the execution has ended; attributes is null if it has none, and traceparent if it is part of no trace. Errors: WF613 for null, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_status(bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_tasks(execution_id bigint, max_rows int DEFAULT 100, after bigint DEFAULT NULL)
RETURNS TABLE (task bigint, task_name text, task_index int, label text, status workflow.execution_status, summary workflow.task_status,
  action text, signal text, child_execution bigint, input jsonb, result jsonb, error jsonb, progress jsonb, attempt int, retry_count int, max_retries int,
  worker text, closing boolean, undoes bigint, created timestamptz, started_at timestamptz, completed_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
BEGIN
  RETURN QUERY
  SELECT t.id, t.task_name, t.task_index, t.label, t.status, workflow.task_summary(t.status, t.skipped), t.action_ref, t.signal,
    t.execution, t.input, t.result, t.error, t.progress, t.attempt, t.retry_count, t.max_retries,
    CASE WHEN t.status = 'running' AND NOT t.calls THEN coalesce(l.worker, t.last_worker) WHEN t.status <> 'completed' THEN t.last_worker END,
    t.closing, t.undoes, t.created, t.started_at, t.completed_at
  FROM (
    SELECT o.* FROM workflow.workflow_task_execution AS o
    WHERE o.part = run.part AND o.workflow_execution = run.id AND o.id > coalesce(workflow_list_tasks.after, 0)
    ORDER BY o.id LIMIT workflow.page_size(max_rows)) AS t
  LEFT JOIN workflow.lease AS l ON l.part = t.part AND l.id = t.lease AND t.status = 'running'
  ORDER BY t.id;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_tasks(bigint, int, bigint) IS
  'Returns the tasks of an execution with their inputs, results and errors, in the order in which they were created: up to max_rows (1 to 10000) after the one with id after. label is the display name of its item; summary is the status in one word; error is that of the last attempt, even while the next one is running; worker is the worker that holds it, or, unless it has completed, the last one that lost it; undoes is the task that it undoes. Errors: WF613 for null or max_rows out of range, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_tasks(bigint, int, bigint) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_count_tasks(execution_id bigint, max_rows int DEFAULT 1000)
RETURNS TABLE (task_name text, is_undo boolean, closing boolean, has_items boolean, total bigint, pending bigint, running bigint, completed bigint,
  failed bigint, skipped bigint, cancelled bigint, retries bigint, first_task bigint, child_execution bigint, started_at timestamptz, ended_at timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
BEGIN
  RETURN QUERY
  SELECT t.task_name, t.undoes IS NOT NULL, bool_or(t.closing), bool_or(t.task_index IS NOT NULL), count(*),
    count(*) FILTER (WHERE s.summary = 'pending'), count(*) FILTER (WHERE s.summary = 'running'),
    count(*) FILTER (WHERE s.summary = 'completed'), count(*) FILTER (WHERE s.summary = 'failed'),
    count(*) FILTER (WHERE s.summary = 'skipped'), count(*) FILTER (WHERE s.summary = 'cancelled'),
    coalesce(sum(t.retry_count), 0)::bigint, min(t.id), max(t.execution), min(coalesce(t.started_at, t.completed_at, t.created)),
    CASE WHEN bool_and(t.completed_at IS NOT NULL) THEN max(t.completed_at) END
  FROM workflow.workflow_task_execution AS t
  CROSS JOIN LATERAL (SELECT workflow.task_summary(t.status, t.skipped)::text AS summary) AS s
  WHERE t.part = run.part AND t.workflow_execution = run.id
  GROUP BY t.task_name, t.undoes IS NOT NULL ORDER BY min(t.id) LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_count_tasks(bigint, int) IS
  'Returns the progress of each task of an execution, with its items and repetitions counted together: one row per name, with undo tasks listed separately, in order of creation, up to max_rows (1 to 10000). retries is the number of retries so far; child_execution is the newest execution that it called; ended_at is null until all of them have ended. Errors: WF613 for null or max_rows out of range, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_count_tasks(bigint, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_tree(execution_id bigint, max_rows int DEFAULT 1000)
RETURNS TABLE (execution bigint, parent bigint, depth int, tree text, workflow_ref text, task_name text, task_index int,
  status workflow.execution_status, paused boolean, created timestamptz, updated timestamptz)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
  members bigint[] := ARRAY[execution_id];
  level bigint[] := members;
BEGIN
  PERFORM workflow.page_size(max_rows);
  -- Level by level, so that it reads no more than it returns.
  LOOP
    level := ARRAY(
      SELECT e.id FROM unnest(level) AS l(id) JOIN workflow.execution e ON e.part = run.part AND e.parent = l.id
      ORDER BY e.id LIMIT workflow_tree.max_rows - cardinality(members));
    EXIT WHEN level = '{}';
    members := members || level;
  END LOOP;
  RETURN QUERY
  WITH RECURSIVE member AS (
    SELECT e.* FROM unnest(members) AS m(id) JOIN workflow.execution e ON e.part = run.part AND e.id = m.id),
  tree AS (
    SELECT m.id, 0 AS depth, ARRAY[m.id] AS path FROM member m WHERE m.id = run.execution
    UNION ALL
    SELECT m.id, t.depth + 1, t.path || m.id FROM tree t JOIN member m ON m.parent = t.id)
  SELECT m.id, m.parent, t.depth, repeat('  ', t.depth) || m.action_ref, m.action_ref, coalesce(u.task_name, k.task_name), coalesce(u.task_index, k.task_index), m.status,
    coalesce(w.paused, false), m.created, greatest(m.updated, w.updated)
  FROM tree t
  JOIN member m ON m.id = t.id
  LEFT JOIN workflow.workflow_execution w ON w.part = run.part AND w.id = t.id
  LEFT JOIN workflow.workflow_task_execution k ON k.part = run.part AND k.execution = t.id
  LEFT JOIN workflow.workflow_task_execution u ON u.part = run.part AND u.id = k.undoes AND NOT u.undo ? 'action'
  ORDER BY t.path;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_tree(bigint, int) IS
  'Returns an execution and everything it has called, in call order, up to max_rows (1 to 10000): each with its parent, its depth below the first, its workflow''s ref (tree: indented by depth), the task and item that called it (null: an earlier attempt called it, or no task did), and its status. Errors: WF613 for null or max_rows out of range, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_tree(bigint, int) FROM PUBLIC;

CREATE FUNCTION workflow.diagram(definition text, statuses text, format text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_diagram_wrapper';
COMMENT ON FUNCTION workflow.diagram(text, text, text) IS
  'Returns a definition in normal form as Mermaid or DOT text; statuses: an object that maps task names to their status in one word, or null.';
REVOKE ALL ON FUNCTION workflow.diagram(text, text, text) FROM PUBLIC;

CREATE FUNCTION workflow.check_format(format text) RETURNS void
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF format IS NULL OR format NOT IN ('mermaid', 'dot') THEN
    PERFORM workflow.raise_error('WF613', 'unknown format', pg_catalog.format('format is %s.', coalesce(left(check_format.format, 100), 'null')),
      'Use mermaid or dot.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_format(text) IS 'Raises WF613 if a diagram''s format is neither mermaid nor dot.';
REVOKE ALL ON FUNCTION workflow.check_format(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_graph(ref text, format text DEFAULT 'mermaid') RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  text_of text;
BEGIN
  PERFORM workflow.require('ref', ref);
  PERFORM workflow.check_format(format);
  SELECT v.definition::text INTO text_of
  FROM workflow.workflow_definition d JOIN workflow.workflow_definition_version v ON v.id = d.current_version
  WHERE d.ref = workflow_graph.ref;
  IF text_of IS NULL THEN
    PERFORM workflow.raise_error('WF616', pg_catalog.format('there is no workflow %s', quote_literal(left(ref, 200))), NULL,
      'Define it with workflow_define.');
  END IF;
  RETURN workflow.diagram(text_of, NULL, format);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_graph(text, text) IS
  'Returns the current version of a workflow as a graph: Mermaid or DOT text (format: mermaid or dot). Errors: WF613 for null or an unknown format, WF616 if there is no such workflow.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_graph(text, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_graph(execution_id bigint, format text DEFAULT 'mermaid') RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  run workflow.workflow_execution := workflow.require_run(execution_id);
  statuses jsonb;
BEGIN
  PERFORM workflow.check_format(format);
  SELECT jsonb_object_agg(s.task_name, s.status) INTO statuses
  FROM (SELECT t.task_name, CASE
          WHEN bool_or(workflow.task_summary(t.status, t.skipped) = 'running') THEN 'running'
          WHEN bool_or(workflow.task_summary(t.status, t.skipped) = 'pending') THEN 'pending'
          WHEN bool_or(workflow.task_summary(t.status, t.skipped) = 'failed') THEN 'failed'
          WHEN bool_or(workflow.task_summary(t.status, t.skipped) = 'cancelled') THEN 'cancelled'
          WHEN bool_and(t.skipped) THEN 'skipped' ELSE 'completed' END AS status
        FROM workflow.workflow_task_execution t
        WHERE t.part = run.part AND t.workflow_execution = run.id GROUP BY t.task_name) AS s;
  RETURN (SELECT workflow.diagram(coalesce(v.definition, d.definition)::text, coalesce(statuses, '{}')::text, workflow_graph.format)
          FROM workflow.workflow_definition d
          LEFT JOIN workflow.workflow_definition_version v ON v.id = run.version
          WHERE d.id = run.workflow_def);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_graph(bigint, text) IS
  'Returns the graph of an execution''s pinned version, with its tasks colored by status. Errors: WF613 for null or an unknown format, WF616 if there is no such execution.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_graph(bigint, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_check(max_rows int DEFAULT 100)
RETURNS TABLE (invariant text, subject text, id bigint, detail text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp SET jit = off AS $$
#variable_conflict use_column
BEGIN
  PERFORM workflow.page_size(max_rows);
  RETURN QUERY
  SELECT * FROM (
    SELECT 'a finished execution has no live task' AS invariant, 'workflow_task_execution' AS subject, t.id, format('task %s is %s', t.task_name, t.status) AS detail
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
    WHERE w.version IS NOT NULL AND workflow.is_end(e.status) AND NOT workflow.is_end(t.status)
    UNION ALL
    SELECT 'an execution that has not ended has a live task, or is paused', 'workflow_execution', w.id, format('it is %s', w.status)
    FROM workflow.workflow_execution w
    JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
    WHERE w.version IS NOT NULL AND NOT workflow.is_end(e.status) AND NOT w.paused
      AND NOT EXISTS (SELECT FROM workflow.workflow_task_execution t
                      WHERE t.part = w.part AND t.workflow_execution = w.id AND NOT workflow.is_end(t.status))
      AND NOT EXISTS (SELECT FROM workflow.pending_report p WHERE p.part = w.part AND p.workflow_execution = w.id)
    UNION ALL
    SELECT 'the conductor counts the live tasks', 'workflow_execution', w.id,
      format('%s live, its state says %s', l.live, coalesce((w.state ->> 'live')::int, 1))
    FROM workflow.workflow_execution w
    JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
    CROSS JOIN LATERAL (
      SELECT count(DISTINCT CASE WHEN t.task_index IS NULL THEN t.id::text ELSE format('%s %s %s', t.task_name, t.route, t.visit) END) AS live
      FROM workflow.workflow_task_execution t
      WHERE t.part = w.part AND t.workflow_execution = w.id
        AND (NOT workflow.is_end(t.status) OR EXISTS (
          SELECT FROM workflow.pending_report p
          WHERE p.part = t.part AND p.workflow_execution = t.workflow_execution AND p.task = t.id))) AS l
    WHERE w.version IS NOT NULL AND NOT workflow.is_end(e.status) AND l.live <> coalesce((w.state ->> 'live')::int, 1)
    UNION ALL
    SELECT 'changes of branches belong to an execution that has a base for them', 'branch_change', c.workflow_execution, format('change %s', c.change)
    FROM workflow.branch_change c
    JOIN workflow.workflow_execution w ON w.part = c.part AND w.id = c.workflow_execution
    WHERE (w.state ? 'base') IS NOT TRUE
    UNION ALL
    SELECT 'a pending report is that of a completed task whose execution has not ended', 'pending_report', p.task,
      format('task %s is %s', coalesce(t.task_name, 'null'), coalesce(t.status::text, 'missing'))
    FROM workflow.pending_report p
    LEFT JOIN workflow.workflow_task_execution t
      ON t.part = p.part AND t.id = p.task AND t.workflow_execution = p.workflow_execution
    LEFT JOIN workflow.execution e ON e.part = p.part AND e.id = p.workflow_execution
    WHERE t.status IS DISTINCT FROM 'completed' OR workflow.is_end(e.status) IS NOT FALSE
    UNION ALL
    SELECT 'a pending report is processed within a minute', 'pending_report', p.task, format('execution %s, since %s', p.workflow_execution, p.created)
    FROM workflow.pending_report p WHERE p.created < workflow.now() - interval '1 minute'
    UNION ALL
    SELECT 'an execution and its workflow end with the same status', 'workflow_execution', w.id, format('the execution is %s, the workflow %s', e.status, w.status)
    FROM workflow.workflow_execution w
    JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
    WHERE w.version IS NOT NULL AND workflow.is_end(e.status) AND e.status <> w.status
    UNION ALL
    SELECT 'in an execution that has stopped, only what closes it waits, unless the next tick withdraws it', 'workflow_task_execution', t.id,
      format('task %s is %s, the workflow %s', t.task_name, t.status, w.status)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.version IS NOT NULL AND w.status <> 'running' AND w.due_at IS NULL AND t.status IN ('requested', 'scheduled')
      AND (NOT t.closing AND (t.undo ? 'unknown') IS NOT TRUE OR w.state ? 'forced')
    UNION ALL
    SELECT 'what was completed is undone at most once', 'workflow_task_execution', t.id, format('task %s was undone %s times', t.task_name, u.times)
    FROM (SELECT n.part, n.undoes, count(*) AS times FROM workflow.workflow_task_execution n
          WHERE n.undoes IS NOT NULL AND n.status = 'completed' GROUP BY n.part, n.undoes) AS u
    JOIN workflow.workflow_task_execution t ON t.part = u.part AND t.id = u.undoes
    WHERE u.times > 1 OR t.undo_number IS NULL
    UNION ALL
    SELECT 'everything that had to be undone has been', 'workflow_task_execution', t.id, format('task %s has not', t.task_name)
    FROM workflow.workflow_execution w
    JOIN workflow.workflow_task_execution t ON t.part = w.part AND t.workflow_execution = w.id
    WHERE w.state #>> '{undo,phase}' = 'done' AND t.undo_number IS NOT NULL
      AND NOT EXISTS (SELECT FROM workflow.workflow_task_execution u
                      WHERE u.part = t.part AND u.workflow_execution = w.id AND u.undoes = t.id AND u.status = 'completed')
    UNION ALL
    SELECT 'an execution that has failed says why', 'workflow_execution', w.id, format('error_message is %s', coalesce(w.error_message, 'null'))
    FROM workflow.workflow_execution w
    WHERE w.version IS NOT NULL AND w.status IN ('failed', 'timeout')
      AND (w.errors IS NULL OR w.error_message IS DISTINCT FROM w.errors -> 0 ->> 'message')
    UNION ALL
    SELECT 'a search finds an execution that has had a failure', 'workflow_execution', w.id, format('it is %s', w.status)
    FROM workflow.workflow_execution w
    WHERE NOT w.had_failure AND (w.status IN ('failed', 'canceling', 'cancelled', 'timeout', 'abandoned')
      OR w.version IS NOT NULL AND EXISTS (
        SELECT FROM workflow.workflow_task_execution t
        WHERE t.part = w.part AND t.workflow_execution = w.id AND t.status IN ('failed', 'timeout', 'abandoned')))
    UNION ALL
    SELECT 'a time limit stands still during a pause, and only then', 'workflow_execution', w.id, format('%s is left', w.due_in)
    FROM workflow.workflow_execution w WHERE w.due_in IS NOT NULL AND NOT w.paused
    UNION ALL
    SELECT 'a queued task is claimable', 'workflow_task_execution', t.id, format('task %s is %s', t.task_name, t.status)
    FROM workflow.workflow_task_execution t
    WHERE t.queue_at IS NOT NULL AND (t.status <> 'scheduled' OR t.held)
    UNION ALL
    SELECT 'a claimable task is queued, unless its execution is paused', 'workflow_task_execution', t.id, format('task %s', t.task_name)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.version IS NOT NULL AND t.status = 'scheduled' AND t.action_ref IS NOT NULL AND NOT t.calls
      -- If a task was being claimed at the moment of the pause, and was then put back, it may still be queued. No claim
      -- takes it.
      AND t.queue_at IS NULL AND t.limit_key IS NULL AND NOT w.paused
    UNION ALL
    SELECT 'a running task is held by a lease', 'workflow_task_execution', t.id, format('task %s', t.task_name)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.version IS NOT NULL AND t.status = 'running' AND NOT t.calls
      AND NOT EXISTS (SELECT FROM workflow.lease l WHERE l.part = t.part AND l.token = t.lease AND t.id = ANY (l.tasks))
    UNION ALL
    SELECT 'a lease is found when it expires', 'lease', l.id, format('it expires at %s, but is looked for from %s', l.until, l.expires_from)
    FROM workflow.lease l WHERE l.expires_from > l.until
    UNION ALL
    SELECT 'a task is known to wait for its signal while it does', 'workflow_task_execution', t.id, format('task %s is %s', t.task_name, t.status)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.version IS NOT NULL AND t.waits <> (t.signal IS NOT NULL AND t.status = 'scheduled' AND t.started_at IS NOT NULL)
    UNION ALL
    SELECT 'a waiting task has a reason to wait', 'workflow_task_execution', t.id, format('task %s is waiting for nothing', t.task_name)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.version IS NOT NULL AND t.status = 'requested' AND t.due_at IS NULL AND NOT t.held
    UNION ALL
    SELECT 'a task that no worker executes is processed, unless its execution is paused', 'workflow_task_execution', t.id, format('task %s', t.task_name)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.version IS NOT NULL AND t.status = 'scheduled' AND t.due_at IS NULL
      AND CASE WHEN t.signal IS NULL THEN (t.calls OR t.action_ref IS NULL) AND NOT w.paused AND t.limit_key IS NULL ELSE t.started_at IS NULL END
    UNION ALL
    SELECT 'a task that calls a workflow has a child that has not ended, or is about to be notified of its end', 'workflow_task_execution', t.id,
      format('task %s, child execution %s', t.task_name, t.execution)
    FROM workflow.workflow_task_execution t
    WHERE t.calls AND t.status = 'running'
      AND NOT EXISTS (SELECT FROM workflow.execution e
                      JOIN workflow.workflow_execution w ON w.part = e.part AND w.id = e.id
                      WHERE e.part = t.part AND e.id = t.execution AND (w.due_at IS NOT NULL OR NOT workflow.is_end(e.status)))
    UNION ALL
    SELECT 'a child that has not ended does the work of a task, or is stopping', 'workflow_execution', w.id, format('it is %s', w.status)
    FROM workflow.workflow_execution w
    JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
    WHERE w.depth > 0 AND w.status = 'running' AND NOT workflow.is_end(e.status)
      AND NOT EXISTS (SELECT FROM workflow.workflow_task_execution t
                      WHERE t.part = w.part AND t.execution = w.id AND t.status = 'running')
    UNION ALL
    SELECT 'a slot of a limit is held by a running task', 'limit_slot', s.task, format('slot %s of limit %s, key %s', s.number, k.limit_name, k.key)
    FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
    WHERE s.task > 0
      -- OFFSET keeps this one lookup per slot, however few running tasks the planner expects.
      AND NOT EXISTS (SELECT FROM (SELECT t.status FROM workflow.workflow_task_execution t
                                   WHERE t.part = (s.task >> 48)::int AND t.id = s.task OFFSET 0) AS t
                      WHERE t.status = 'running')
      AND NOT EXISTS (SELECT FROM workflow.pending_report p WHERE p.part = (s.task >> 48)::int AND p.task = s.task)
    UNION ALL
    SELECT 'a task that has begun under a limit has a slot of it', 'workflow_task_execution', t.id, format('limit %s, key %s', o.pair ->> 0, o.pair ->> 1)
    FROM workflow.workflow_task_execution t
    CROSS JOIN LATERAL jsonb_array_elements(t.limits) AS o(pair)
    JOIN workflow.limit_rule r ON r.name = o.pair ->> 0 AND r.max_running IS NOT NULL AND r.count_from IS NULL
    WHERE t.limits IS NOT NULL AND t.status = 'running'
      AND NOT EXISTS (SELECT FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
                      WHERE s.task = t.id AND k.limit_name = o.pair ->> 0 AND k.key = o.pair ->> 1)
    UNION ALL
    SELECT 'a slot of a workflow''s concurrency is held by an execution that has begun and not ended', 'limit_slot', -s.task, format('slot %s of %s, key %s', s.number, k.limit_name, k.key)
    FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
    WHERE s.task < 0
      AND NOT EXISTS (SELECT FROM (SELECT e.status, w.limit_place FROM workflow.execution e JOIN workflow.workflow_execution w ON w.part = e.part AND w.id = e.id
                                   WHERE e.part = (-s.task >> 48)::int AND e.id = -s.task OFFSET 0) AS e
                      WHERE NOT workflow.is_end(e.status) AND e.limit_place IS NULL)
    UNION ALL
    SELECT 'an execution that has begun under concurrency has a slot', 'workflow_execution', w.id, format('limit %s, key %s', r.name, w.concurrency_key)
    FROM workflow.workflow_execution w
    JOIN workflow.execution e ON e.part = w.part AND e.id = w.id
    JOIN workflow.workflow_definition d ON d.id = w.workflow_def
    JOIN workflow.limit_rule r ON r.name = '@' || d.ref AND r.created <= w.created
    WHERE w.concurrency_key IS NOT NULL AND w.limit_place IS NULL AND w.status = 'running' AND NOT workflow.is_end(e.status)
      AND NOT EXISTS (SELECT FROM workflow.limit_slot s JOIN workflow.limit_key k ON k.id = s.key
                      WHERE s.task = -w.id AND k.limit_name = r.name AND k.key = w.concurrency_key)
    UNION ALL
    SELECT 'an execution that waits to begin has begun nothing, and somebody looks at it', 'workflow_execution', w.id, format('it waits since %s', w.limit_place)
    FROM workflow.workflow_execution w
    WHERE w.limit_place IS NOT NULL
      AND (w.status <> 'running' OR NOT w.paused AND w.limit_key IS NULL AND w.due_at IS NULL
        OR w.limit_key IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.limit_key k WHERE k.id = w.limit_key AND k.check_at IS NOT NULL)
        OR EXISTS (SELECT FROM workflow.workflow_task_execution t
                   WHERE t.part = w.part AND t.workflow_execution = w.id AND t.status IN ('scheduled', 'running')))
    UNION ALL
    SELECT 'a task is due at infinity while its execution waits to begin, and only then', 'workflow_task_execution', t.id, format('task %s', t.task_name)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE t.due_at = 'infinity' AND w.limit_place IS NULL
    UNION ALL
    SELECT 'the slots of a limit are counted', 'limit_key', k.id, format('%s instead of %s', k.slots, s.count)
    FROM workflow.limit_key k
    CROSS JOIN LATERAL (SELECT count(*) FROM workflow.limit_slot s WHERE s.key = k.id) AS s
    WHERE k.slots <> s.count
    UNION ALL
    SELECT 'a limit that tasks wait for is looked at', 'workflow_task_execution', t.id, format('task %s waits for %s', t.task_name, t.limit_key)
    FROM workflow.workflow_task_execution t
    WHERE t.limit_key IS NOT NULL
      AND (t.status <> 'scheduled' OR NOT EXISTS (SELECT FROM workflow.limit_key k WHERE k.id = t.limit_key AND k.check_at IS NOT NULL))
    UNION ALL
    SELECT 'referenced rows exist', o.subject, o.id, format('%s %s is missing', o.missing, o.reference)
    FROM (
      SELECT 'execution' AS subject, e.id, 'execution' AS missing, e.parent AS reference FROM workflow.execution e
      WHERE e.parent IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.execution p WHERE p.part = e.part AND p.id = e.parent)
      UNION ALL
      SELECT 'execution', e.id, 'action', e.action FROM workflow.execution e
      WHERE e.action IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.action a WHERE a.id = e.action)
      UNION ALL
      SELECT 'workflow_execution', w.id, 'execution', w.execution FROM workflow.workflow_execution w
      WHERE NOT EXISTS (SELECT FROM workflow.execution e WHERE e.part = w.part AND e.id = w.id)
      UNION ALL
      SELECT 'workflow_execution', w.id, 'workflow_definition', w.workflow_def FROM workflow.workflow_execution w
      WHERE NOT EXISTS (SELECT FROM workflow.workflow_definition d WHERE d.id = w.workflow_def)
      UNION ALL
      SELECT 'workflow_execution', w.id, 'workflow_definition_version', w.version FROM workflow.workflow_execution w
      WHERE w.version IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.workflow_definition_version v WHERE v.id = w.version)
      UNION ALL
      SELECT 'workflow_task_execution', t.id, 'workflow_execution', t.workflow_execution FROM workflow.workflow_task_execution t
      WHERE NOT EXISTS (SELECT FROM workflow.workflow_execution w WHERE w.part = t.part AND w.id = t.workflow_execution)
      UNION ALL
      SELECT 'workflow_task_execution', t.id, 'execution', t.execution FROM workflow.workflow_task_execution t
      WHERE t.execution IS NOT NULL AND NOT EXISTS (SELECT FROM workflow.execution e WHERE e.part = t.part AND e.id = t.execution)
      UNION ALL
      SELECT 'branch_change', c.workflow_execution, 'workflow_execution', c.workflow_execution FROM workflow.branch_change c
      WHERE NOT EXISTS (SELECT FROM workflow.workflow_execution w WHERE w.part = c.part AND w.id = c.workflow_execution)
      UNION ALL
      SELECT 'pending_report', p.task, 'workflow_execution', p.workflow_execution FROM workflow.pending_report p
      WHERE NOT EXISTS (SELECT FROM workflow.workflow_execution w WHERE w.part = p.part AND w.id = p.workflow_execution)
      UNION ALL
      SELECT 'signal', s.id, 'workflow_execution', s.execution FROM workflow.signal s
      WHERE NOT EXISTS (SELECT FROM workflow.workflow_execution w WHERE w.part = s.part AND w.id = s.execution)
      UNION ALL
      SELECT 'event', v.id, 'workflow_execution', v.execution FROM workflow.event v
      WHERE NOT EXISTS (SELECT FROM workflow.workflow_execution w WHERE w.part = v.part AND w.id = v.execution)) AS o
    UNION ALL
    SELECT 'an id contains its part', 'workflow_task_execution', t.id, format('its part is %s', t.part)
    FROM workflow.workflow_task_execution t WHERE t.id >> 48 <> t.part
    UNION ALL
    SELECT 'a part that another server has is not here', 'execution', e.id, format('its part is %s', e.part)
    FROM workflow.execution e JOIN workflow.foreign_part f ON f.part = e.part AND f.status = 'elsewhere'
    UNION ALL
    SELECT 'an id of this server''s node is not ahead of its sequence', o.subject, o.id, format('the node is %s', o.id >> 40 & 255)
    FROM (SELECT 'execution' AS subject, e.id, 'execution_id_seq' AS sequence FROM workflow.execution e
          UNION ALL
          SELECT 'workflow_task_execution', t.id, 'workflow_task_execution_id_seq' FROM workflow.workflow_task_execution t) AS o
    JOIN (SELECT s.sequencename AS sequence, coalesce(s.last_value, 0) AS last_value FROM pg_sequences s
          -- CASE, because the planner may otherwise check the privilege before the schema, and thus for sequences that
          -- are not ours.
          WHERE CASE s.schemaname WHEN 'workflow' THEN has_sequence_privilege(format('workflow.%I', s.sequencename), 'USAGE, SELECT') END) AS q
      ON q.sequence = o.sequence
    WHERE o.id >> 40 & 255 = (workflow.make_id(0, 0) >> 40) AND o.id & 1099511627775 > q.last_value
    UNION ALL
    SELECT 'a retry count stays within its bound', 'workflow_task_execution', t.id, format('%s of %s', t.retry_count, t.max_retries)
    FROM workflow.workflow_task_execution t
    JOIN workflow.workflow_execution w ON w.part = t.part AND w.id = t.workflow_execution
    WHERE w.version IS NOT NULL AND t.retry_count > t.max_retries
  ) AS broken
  -- Rows that are being copied are not complete yet.
  WHERE NOT EXISTS (SELECT FROM workflow.foreign_part f WHERE f.part = (broken.id >> 48)::int AND f.status = 'arriving')
  LIMIT max_rows;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_check(int) IS
  'Returns broken invariants, up to max_rows (1 to 10000): the invariant, the table, the row''s id, and what was found. Returns no row if all is well. It reads everything: use it in tests and when in doubt, not every minute. Error: WF613 if max_rows is out of range.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_check(int) FROM PUBLIC;
