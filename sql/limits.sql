-- Limits and holds: how many tasks with a key run at once, how fast they begin, and what must not begin yet.
--
-- A task names its limits (`limit` in a definition), and an action the limits of all its tasks; each has a key, so that
-- one limit can, for example, count every tenant separately. The values are set here and can be changed at any time:
-- the next claim applies them. A limit belongs to one server and counts the tasks of all parts together.
--
-- Limits never make claims and reports wait for each other (limits.rs). workflow_set_limit, workflow_hold and workflow_release may
-- wait for claims that are examining the same keys at that moment.

CREATE FUNCTION workflow.check_limits(limits jsonb) RETURNS jsonb
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_limits_wrapper';
COMMENT ON FUNCTION workflow.check_limits(jsonb) IS
  'Returns the limits of an action in normal form, an array of objects with name and key, or null if there are none. Raises WF613 if they are malformed.';
REVOKE ALL ON FUNCTION workflow.check_limits(jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.require_limits(limits jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  uses jsonb := workflow.check_limits(limits);
  missing text := (SELECT u.use ->> 'name' FROM jsonb_array_elements(uses) AS u(use)
    WHERE NOT EXISTS (SELECT FROM workflow.limit_rule r WHERE r.name = u.use ->> 'name') LIMIT 1);
BEGIN
  IF missing IS NOT NULL THEN
    PERFORM workflow.raise_error('WF616', format('there is no limit %s', missing), NULL,
      format('Create it first, for example with SELECT workflow_set_limit(%L, max_running => 5).', missing));
  END IF;
  RETURN uses;
END $$;
COMMENT ON FUNCTION workflow.require_limits(jsonb) IS
  'Returns the limits of an action in normal form. Raises WF613 if they are malformed, WF616 if one does not exist.';
REVOKE ALL ON FUNCTION workflow.require_limits(jsonb) FROM PUBLIC;

CREATE FUNCTION workflow.check_limit_name(name text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('name', name);
  IF starts_with(name, '@') THEN
    PERFORM workflow.raise_error('WF613', 'the concurrency of a workflow cannot be set here', format('name is %s.', quote_literal(left(name, 200))),
      'Set concurrency in its definition, such as concurrency: {max: 5}.');
  ELSIF name COLLATE "C" !~ '^[a-z][a-z0-9_.-]{0,127}$' THEN
    PERFORM workflow.raise_error('WF613', 'name is malformed', format('name is %s.', quote_literal(left(name, 200))),
      'Write at most 128 lower-case letters, digits, _, - and dots, beginning with a letter.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_limit_name(text) IS 'Raises WF613 if a text is not a valid name of a limit.';
REVOKE ALL ON FUNCTION workflow.check_limit_name(text) FROM PUBLIC;

-- Locks in order of id, so that two concurrent calls never deadlock. Includes all keys that tasks wait for, whenever they are due:
-- whoever is checking one at this moment may be about to postpone it.
CREATE FUNCTION workflow.request_limit_checks(keys bigint[]) RETURNS void
LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  WITH wanted AS MATERIALIZED (
    SELECT k.limit_name, k.key FROM workflow.limit_key AS k WHERE k.id = ANY (keys)),
  known AS MATERIALIZED (
    SELECT w.limit_name, w.key FROM workflow.limit_wakeup AS w
    WHERE NOT w.recount AND (w.limit_name, w.key) IN (SELECT n.limit_name, n.key FROM wanted AS n)
    FOR KEY SHARE SKIP LOCKED)
  INSERT INTO workflow.limit_wakeup (limit_name, key)
  SELECT n.limit_name, n.key FROM wanted AS n
  WHERE NOT EXISTS (SELECT FROM known AS k WHERE k.limit_name = n.limit_name AND k.key = n.key);
END $$;
COMMENT ON FUNCTION workflow.request_limit_checks(bigint[]) IS
  'Requests that the next claim or tick check keys of limits, which others may have locked. Adds no request where there is one that nobody is handling right now.';
REVOKE ALL ON FUNCTION workflow.request_limit_checks(bigint[]) FROM PUBLIC;

CREATE FUNCTION workflow.wake_limit_keys(limit_name text, key text, moment timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  busy bigint[];
BEGIN
  WITH waiting AS MATERIALIZED (
    SELECT k.id FROM workflow.limit_key AS k
    WHERE k.limit_name = limit_name AND (key IS NULL OR k.key = key) AND k.check_at IS NOT NULL),
  free AS MATERIALIZED (
    SELECT k.id FROM workflow.limit_key AS k WHERE k.id IN (SELECT w.id FROM waiting AS w) ORDER BY k.id FOR NO KEY UPDATE SKIP LOCKED),
  woken AS (
    UPDATE workflow.limit_key AS k SET check_at = least(k.check_at, moment), updated = moment FROM free AS f WHERE k.id = f.id)
  SELECT array_agg(w.id) INTO busy FROM waiting AS w WHERE NOT EXISTS (SELECT FROM free AS f WHERE f.id = w.id);
  PERFORM workflow.request_limit_checks(busy);
END $$;
COMMENT ON FUNCTION workflow.wake_limit_keys(text, text, timestamptz) IS
  'Makes the next claim or tick examine the keys of a limit, or one of them, for which tasks are waiting. Waits for nobody: keys that a claim in an open transaction has locked are examined once that has ended.';
REVOKE ALL ON FUNCTION workflow.wake_limit_keys(text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_set_limit(name text, max_running int DEFAULT NULL, rate int DEFAULT NULL,
  per interval DEFAULT NULL, burst int DEFAULT NULL)
RETURNS workflow.limit_rule
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz := workflow.now();
  made workflow.limit_rule;
BEGIN
  PERFORM workflow.check_limit_name(name);
  IF max_running NOT BETWEEN 1 AND 100000 THEN
    PERFORM workflow.raise_error('WF613', 'max_running is out of range', format('max_running is %s.', max_running),
      'Use 1 to 100000; to stop everything from starting, call workflow_hold.');
  ELSIF rate NOT BETWEEN 1 AND 1000000 THEN
    PERFORM workflow.raise_error('WF613', 'rate is out of range', format('rate is %s.', rate),
      'Use 1 to 1000000; to stop everything from starting, call workflow_hold.');
  ELSIF (rate IS NULL) <> (per IS NULL) THEN
    PERFORM workflow.raise_error('WF613', CASE WHEN per IS NULL THEN 'rate requires per' ELSE 'per requires rate' END, NULL,
      'Pass both, such as rate => 10, per => ''1 second''.');
  ELSIF per NOT BETWEEN '1 millisecond' AND '31 days' OR extract(month FROM per) <> 0 OR extract(year FROM per) <> 0 THEN
    PERFORM workflow.raise_error('WF613', 'per is out of range', format('per is %s.', per), 'Use 1 millisecond to 31 days, without months or years.');
  ELSIF burst IS NOT NULL AND rate IS NULL THEN
    PERFORM workflow.raise_error('WF613', 'burst requires rate', format('burst is %s.', burst), 'Pass rate and per as well.');
  ELSIF burst NOT BETWEEN 1 AND 1000000 THEN
    PERFORM workflow.raise_error('WF613', 'burst is out of range', format('burst is %s.', burst), 'Use 1 to 1000000.');
  ELSIF max_running IS NULL AND rate IS NULL THEN
    PERFORM workflow.raise_error('WF613', 'a limit requires max_running or rate', NULL,
      'Pass max_running, or rate and per; to remove the limit, call workflow_delete_limit.');
  END IF;
  INSERT INTO workflow.limit_rule AS r (name, max_running, rate, per, burst, count_from, created, updated)
  VALUES (name, max_running, rate, per, CASE WHEN rate IS NOT NULL THEN coalesce(burst, 1) END, CASE WHEN max_running IS NOT NULL THEN '0'::xid8 END, moment, moment)
  ON CONFLICT ON CONSTRAINT limit_rule_pkey DO UPDATE
  SET count_from = CASE WHEN excluded.max_running IS NOT NULL AND r.max_running IS NULL THEN '0'::xid8
                        WHEN excluded.max_running IS NOT NULL THEN r.count_from END,
      max_running = excluded.max_running, rate = excluded.rate, per = excluded.per, burst = excluded.burst, updated = excluded.updated
  RETURNING r.* INTO made;
  PERFORM workflow.wake_limit_keys(name, NULL, moment);
  RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_set_limit(text, int, int, interval, int) IS
  'Sets a limit for the tasks that name it; if it exists, all its properties are replaced, and the next claim applies them. name: lowercase letters, digits, _, - and dots. max_running: how many tasks with the same key may run at once, 1 to 100000 (null: any number); if more are running, none begins until enough have ended. When it is set for the first time, the next workflow_tick counts the tasks that are already running. rate: how many tasks with the same key may begin per `per` (1 millisecond to 31 days), evenly spread. burst (default 1): how many of them may begin at once after an idle period, so that at most rate + burst - 1 begin in any such period. Returns the limit. Errors: WF613 for a value that is malformed, out of range, or requires another one that is missing.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_set_limit(text, int, int, interval, int) FROM PUBLIC;

CREATE FUNCTION workflow.plan_concurrency(ref text, max_running int, moment timestamptz) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  name text := '@' || ref;
BEGIN
  IF max_running IS NULL THEN
    DELETE FROM workflow.hold AS h WHERE h.target = 'limit' AND h.name = name;
    DELETE FROM workflow.limit_rule AS r WHERE r.name = name;
  ELSE
    INSERT INTO workflow.limit_rule AS r (name, max_running, created, updated) VALUES (name, max_running, moment, moment)
    ON CONFLICT ON CONSTRAINT limit_rule_pkey DO UPDATE SET max_running = excluded.max_running, updated = excluded.updated
    WHERE r.max_running <> excluded.max_running;
  END IF;
  IF FOUND THEN
    PERFORM workflow.wake_limit_keys(name, NULL, moment);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.plan_concurrency(text, int, timestamptz) IS
  'Stores how many executions of a workflow may run at once per key, as its current definition says; null: any number, and its holds end.';
REVOKE ALL ON FUNCTION workflow.plan_concurrency(text, int, timestamptz) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_delete_limit(name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('name', name);
  IF starts_with(name, '@') THEN
    PERFORM workflow.raise_error('WF613', 'the concurrency of a workflow cannot be deleted here', format('name is %s.', quote_literal(left(name, 200))),
      'Remove concurrency from its definition.');
  END IF;
  DELETE FROM workflow.limit_rule AS r WHERE r.name = name;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM workflow.hold AS h WHERE h.target = 'limit' AND h.name = name;
  PERFORM workflow.wake_limit_keys(name, NULL, moment);
  RETURN true;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_delete_limit(text) IS
  'Deletes a limit and its holds. Tasks that name it are no longer restricted by it; tasks waiting for it become claimable at the next claim or workflow_tick. Returns whether it existed. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_delete_limit(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_limits(max_rows int DEFAULT 100, after text DEFAULT NULL) RETURNS SETOF workflow.limit_rule
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT r.* FROM workflow.limit_rule AS r WHERE r.name > coalesce(after, '') ORDER BY r.name LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_limits(int, text) IS
  'Returns all limits, in order of name: up to max_rows (1 to 10000) after the name given as after. A limit set by concurrency in a definition is named @ followed by the workflow''s ref. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_limits(int, text) FROM PUBLIC;

CREATE FUNCTION workflow.limit_hold(limit_name text, key text, moment timestamptz) RETURNS SETOF workflow.hold
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  RETURN QUERY SELECT h.* FROM workflow.hold AS h
    WHERE h.until > moment AND CASE WHEN limit_name = '@workflow' THEN h.target = 'workflow' AND h.name = key AND h.key = ''
                                    ELSE h.target = 'limit' AND h.name = limit_name AND h.key IN ('', key) END
    ORDER BY h.until DESC LIMIT 1;
END $$;
COMMENT ON FUNCTION workflow.limit_hold(text, text, timestamptz) IS 'Returns the longest-lasting hold on a key of a limit at the given time, or no row.';
REVOKE ALL ON FUNCTION workflow.limit_hold(text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.limit_opens_at(k workflow.limit_key, r workflow.limit_rule) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN r.rate IS NOT NULL THEN k.next_at - least((r.burst - 1) * (r.per / r.rate), interval '2000 years') END;
COMMENT ON FUNCTION workflow.limit_opens_at(workflow.limit_key, workflow.limit_rule) IS
  'Returns when the rate of a limit allows the next task with a key to begin, or null if it has no rate.';
REVOKE ALL ON FUNCTION workflow.limit_opens_at(workflow.limit_key, workflow.limit_rule) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_limit_keys(name text, max_rows int DEFAULT 100, after text DEFAULT NULL)
RETURNS TABLE (key text, running bigint, waiting bigint, waiting_since timestamptz, next_at timestamptz, held_until timestamptz,
  held_by text, held_because text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
BEGIN
  PERFORM workflow.require('name', name);
  RETURN QUERY
  SELECT k.key,
    CASE WHEN r.max_running IS NOT NULL THEN
      (SELECT count(*) FROM (SELECT FROM workflow.limit_slot AS s WHERE s.key = k.id AND s.task IS NOT NULL LIMIT 10000) AS taken) END,
    CASE WHEN k.limit_name LIKE '@%.%' THEN
      (SELECT count(*) FROM (SELECT FROM workflow.workflow_execution AS w WHERE w.limit_key = k.id LIMIT 10000) AS waiting) ELSE
      (SELECT count(*) FROM (SELECT FROM workflow.workflow_task_execution AS t WHERE t.limit_key = k.id LIMIT 10000) AS waiting) END,
    k.waiting_since, nullif(workflow.limit_opens_at(k, r), '-infinity'), h.until, h.author, h.reason
  FROM (SELECT k.* FROM workflow.limit_key AS k
        WHERE k.limit_name = name AND (after IS NULL OR k.key > after) ORDER BY k.key LIMIT workflow.page_size(max_rows)) AS k
  LEFT JOIN workflow.limit_rule AS r ON r.name = k.limit_name
  LEFT JOIN LATERAL workflow.limit_hold(k.limit_name, k.key, moment) AS h ON true
  ORDER BY k.key;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_limit_keys(text, int, text) IS
  'Returns the keys that have been used with a limit, in order: up to max_rows (1 to 10000) after the key given as after. For the concurrency of a workflow, name is @ followed by its ref. The empty key counts everything together. running: number of tasks or executions that have a slot (null: the limit has no max_running); waiting: number that wait for one; both are counted up to 10000. waiting_since: start of the period in which something has been waiting without a break. next_at: when the rate allows the next task to begin (null: no rate, or none has begun). held_until, held_by, held_because: the longest-lasting hold. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_limit_keys(text, int, text) FROM PUBLIC;

CREATE FUNCTION workflow.check_hold(target text, name text, key text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('target', target);
  IF target NOT IN ('limit', 'action', 'workflow', 'everything') THEN
    PERFORM workflow.raise_error('WF613', 'unknown target', format('target is %s.', quote_literal(left(target, 100))),
      'Use limit, action, workflow or everything.');
  ELSIF (name IS NULL) <> (target = 'everything') THEN
    PERFORM workflow.raise_error('WF613', CASE WHEN name IS NULL THEN 'name is null' ELSE 'the target everything has no name' END, NULL,
      CASE WHEN name IS NULL THEN format('Pass the name of the %s.', target) ELSE 'Pass null as name.' END);
  ELSIF key IS NOT NULL AND target <> 'limit' THEN
    PERFORM workflow.raise_error('WF613', 'only limits have keys', format('target is %s.', target), 'Pass null as key.');
  END IF;
  PERFORM workflow.check_key('key', key);
  IF target = 'limit' AND NOT EXISTS (SELECT FROM workflow.limit_rule AS r WHERE r.name = name) THEN
    PERFORM workflow.raise_error('WF616', format('there is no limit %s', quote_literal(left(name, 200))), NULL,
      'List limits with workflow_list_limits.');
  ELSIF target = 'action' AND NOT EXISTS (SELECT FROM workflow.action AS a WHERE a.ref = name) THEN
    PERFORM workflow.raise_missing('action', 'name', name);
  ELSIF target = 'workflow' AND NOT EXISTS (SELECT FROM workflow.workflow_definition AS d WHERE d.ref = name) THEN
    PERFORM workflow.raise_missing('definition', 'name', name);
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_hold(text, text, text) IS
  'Raises WF613 if target, name and key do not fit together, WF616 if the limit, action or workflow does not exist.';
REVOKE ALL ON FUNCTION workflow.check_hold(text, text, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_hold(name text, key text, until timestamptz, reason text DEFAULT NULL, target text DEFAULT 'limit')
RETURNS bigint
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  made bigint;
BEGIN
  PERFORM workflow.check_hold(target, name, key);
  PERFORM workflow.require('until', until);
  IF until <= moment OR until > moment + interval '10 years' THEN
    PERFORM workflow.raise_error('WF613', CASE WHEN until <= moment THEN 'until is in the past' ELSE 'until is too far in the future' END,
      format('until is %s.', until), 'Use a time within the next 10 years; to end the hold early, call workflow_release.');
  END IF;
  INSERT INTO workflow.hold (target, name, key, until, reason, author, created, updated)
  VALUES (target, coalesce(name, ''), coalesce(key, ''), until, left(reason, 500), workflow.name_caller(current_user), moment, moment)
  RETURNING hold.id INTO made;
  IF target = 'workflow' THEN
    INSERT INTO workflow.limit_key (id, limit_name, key)
    VALUES (workflow.make_id(0, nextval('workflow.limit_key_id_seq')), '@workflow', name)
    ON CONFLICT ON CONSTRAINT limit_key_limit_name_key DO NOTHING;
  END IF;
  RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_hold(text, text, timestamptz, text, text) IS
  'Prevents tasks from beginning until a time, at most 10 years from now. target: limit (tasks under the limit name with this key; null: any key), action (tasks of the action name), workflow (tasks of the workflow''s own executions), or everything (all tasks; name is null). Running tasks continue, and so does work that the engine does itself, such as calling other workflows and waiting for signals. Of several holds, the longest applies. reason: shown by workflow_why; the first 500 characters are kept. Returns the hold''s id. Errors: WF613 for a value that is null, out of range or does not fit the target, WF616 if there is no such limit, action or workflow.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_hold(text, text, timestamptz, text, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_release(name text, key text DEFAULT NULL, target text DEFAULT 'limit') RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
  removed int;
BEGIN
  DELETE FROM workflow.hold AS h
  WHERE h.target = target AND h.name = coalesce(name, '') AND (key IS NULL OR h.key = key) AND h.until > moment;
  GET DIAGNOSTICS removed = ROW_COUNT;
  -- Something that was deleted while a hold on it was being set may still be released.
  IF removed = 0 THEN
    PERFORM workflow.check_hold(target, name, key);
  END IF;
  IF target IN ('limit', 'workflow') THEN
    PERFORM workflow.wake_limit_keys(CASE target WHEN 'workflow' THEN '@workflow' ELSE name END, CASE target WHEN 'workflow' THEN name ELSE key END, moment);
  END IF;
  RETURN removed;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_release(text, text, text) IS
  'Ends the holds on a target, named as for workflow_hold; a null key means the holds on all keys. Returns the number of holds ended. Tasks that were held back become claimable at the next claim or workflow_tick. Errors: WF613 for a value that does not fit the target, WF616 if there is no such limit, action or workflow.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_release(text, text, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_list_holds(max_rows int DEFAULT 100, after bigint DEFAULT NULL) RETURNS SETOF workflow.hold
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz := workflow.now();
BEGIN
  RETURN QUERY SELECT h.* FROM workflow.hold AS h WHERE h.id > coalesce(after, 0) AND h.until > moment ORDER BY h.id LIMIT workflow.page_size(max_rows);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_list_holds(int, bigint) IS
  'Returns the holds that have not expired, in order of id: up to max_rows (1 to 10000) after the one with id after. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_list_holds(int, bigint) FROM PUBLIC;

-- If the same ref is defined or registered again, it must not be held, and nobody could release a hold whose target no
-- longer has a name.
CREATE FUNCTION workflow.forget_ref() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_TABLE_NAME = 'action' THEN
    DELETE FROM workflow.hold AS h WHERE h.target = 'action' AND h.name = OLD.ref;
  ELSE
    DELETE FROM workflow.hold AS h WHERE h.target = 'workflow' AND h.name = OLD.ref;
    DELETE FROM workflow.limit_key AS k WHERE k.limit_name = '@workflow' AND k.key = OLD.ref;
    DELETE FROM workflow.fair_weight AS w WHERE w.workflow_ref = OLD.ref;
    PERFORM workflow.plan_concurrency(OLD.ref, NULL, workflow.now());
  END IF;
  RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow.forget_ref() IS
  'Trigger of workflow.action and workflow.workflow_definition: deletes the holds of what is deleted, and what limits and shares a workflow had.';
REVOKE ALL ON FUNCTION workflow.forget_ref() FROM PUBLIC;
CREATE TRIGGER forget_ref AFTER DELETE ON workflow.action
FOR EACH ROW EXECUTE FUNCTION workflow.forget_ref();
ALTER TABLE workflow.action ENABLE ALWAYS TRIGGER forget_ref;
CREATE TRIGGER forget_ref AFTER DELETE ON workflow.workflow_definition
FOR EACH ROW EXECUTE FUNCTION workflow.forget_ref();
ALTER TABLE workflow.workflow_definition ENABLE ALWAYS TRIGGER forget_ref;
