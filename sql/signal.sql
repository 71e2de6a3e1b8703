-- Signals: what comes from outside to a task that waits for it (wait_for), an approval for example.
--
-- A signal that comes before its task waits is kept. The execution's lock decides between a signal, the end of the wait's
-- time and everything else: whoever comes first.

CREATE FUNCTION pg_catalog.workflow_signal(execution_id bigint, name text, payload jsonb DEFAULT NULL, key text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now timestamptz := workflow.now();
  run workflow.workflow_execution;
  waits text[];
  sent workflow.signal;
  waiting bigint;
BEGIN
  PERFORM workflow.require('name', name);
  run := workflow.require_run(execution_id);
  PERFORM workflow.check_signal(name, payload, key);
  IF run.version IS NULL THEN
    PERFORM workflow.raise_error('WF618', format('execution %s is driven from outside', execution_id), NULL, 'end its task with workflow_update_task_execution');
  END IF;
  SELECT w.* INTO run FROM workflow.workflow_execution w WHERE w.part = run.part AND w.id = run.id FOR NO KEY UPDATE;
  SELECT s.* INTO sent FROM workflow.signal s
  WHERE s.part = run.part AND s.workflow_execution = run.id AND s.name = workflow_signal.name AND s.key = workflow_signal.key;
  IF sent.id IS NOT NULL THEN
    RETURN CASE WHEN sent.task IS NULL THEN 'kept' ELSE 'delivered' END;
  END IF;
  SELECT t.id INTO waiting FROM workflow.workflow_task_execution t
  WHERE t.part = run.part AND t.workflow_execution = run.id AND t.signal = workflow_signal.name AND t.status = 'scheduled'
  ORDER BY t.id LIMIT 1;
  -- In one that has failed or is cancelled a task may wait all the same: one beside fail, or the last.
  IF waiting IS NULL AND run.status <> 'running' THEN
    PERFORM workflow.raise_error('WF611', format('execution %s takes no signals: it is %s', execution_id, run.status), NULL, 'send it to one that runs');
  END IF;
  SELECT array_agg(DISTINCT task #>> '{wait_for,signal}') INTO waits
  FROM workflow.workflow_definition_version v CROSS JOIN LATERAL jsonb_array_elements(v.definition -> 'tasks') AS task
  WHERE v.id = run.version AND task ? 'wait_for';
  -- A template's name is known only when its task begins to wait.
  IF waits IS NULL OR NOT EXISTS (SELECT FROM unnest(waits) AS w(signal) WHERE w.signal = name OR strpos(w.signal, '{') > 0) THEN
    PERFORM workflow.raise_error('WF611', format('execution %s does not wait for a signal %s', execution_id, left(name, 200)), NULL,
      coalesce('it waits for: ' || array_to_string(waits, ', '), 'no task of its workflow has wait_for'));
  END IF;
  INSERT INTO workflow.signal (part, id, workflow_execution, task, name, key, payload, created, updated)
  VALUES (run.part, workflow.make_id(run.part, nextval('workflow.signal_id_seq')), run.id, waiting, workflow_signal.name,
    workflow_signal.key, workflow_signal.payload, now, now);
  PERFORM workflow.log_control(execution_id, 'signal', name, session_user::text,
    jsonb_strip_nulls(jsonb_build_object('key', key, 'task', waiting)), now, NULL);
  IF waiting IS NULL THEN
    RETURN 'kept';
  END IF;
  PERFORM workflow.end_tasks(ARRAY[ROW(waiting, NULL, 'completed', payload, NULL, NULL, NULL)::workflow.outcome], now);
  RETURN 'delivered';
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text) IS
  'Sends a signal to an execution: the oldest task that waits for this name completes, with the payload as its result. Answers delivered; or kept, where no task waits for it yet: the next that does has it at once. key: sending a signal of this name with the same key again changes nothing, and is answered as the first time, or as it stands by now. Errors: WF611 where the execution has ended, or stops and no task waits for that name, or no task of its workflow ever does; WF613 null or a name or key that is too long; WF614 a payload too large; WF616 no such execution; WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text) FROM PUBLIC;

CREATE FUNCTION workflow.check_signal(name text, payload jsonb, key text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Both stand in indexes.
  IF octet_length(name) > 1000 OR octet_length(key) > 1000 THEN
    PERFORM workflow.raise_error('WF613', format('%s is too long', CASE WHEN octet_length(name) > 1000 THEN 'name' ELSE 'key' END),
      NULL, 'give at most 1000 bytes');
  END IF;
  PERFORM workflow.check_size('the payload', pg_column_size(payload));
END $$;
COMMENT ON FUNCTION workflow.check_signal(text, jsonb, text) IS 'Raises WF613 or WF614 where a signal''s name, key or payload is too large.';
REVOKE ALL ON FUNCTION workflow.check_signal(text, jsonb, text) FROM PUBLIC;
