--: workflow_part
BEGIN
  RETURN (get_byte(sha256(convert_to($1, 'UTF8')), 0) << 8 | get_byte(sha256(convert_to($1, 'UTF8')), 1)) & 1023;
END
--: workflow_find_parts
BEGIN
  RETURN (SELECT coalesce(string_agg(p, ',' ORDER BY substring(p FROM '^[0-9]+')::int), '')
    FROM workflow_router.workflow_find_parts_everywhere() AS p WHERE p <> '');
END
--: workflow_announce_idle
BEGIN
  -- Notifications do not pass through a router, so idle workers poll again soon.
  RETURN CASE WHEN $1 = '{}' THEN NULL ELSE interval '200 milliseconds' END;
END
--: workflow_start_many
DECLARE
  began timestamptz := clock_timestamp();
  anywhere int := workflow_router.any_part($6);
  ids bigint[] := array_fill(NULL::bigint, ARRAY[coalesce(cardinality($2), 0)]);
  started bigint[];
  places int[];
  home int;
  one int;
  {declare}
BEGIN
  IF coalesce(cardinality($2), 0) = 0 OR array_ndims($2) > 1 OR cardinality($3) <> cardinality($2) OR cardinality($7) <> cardinality($2)
    OR cardinality($8) <> cardinality($2) OR array_ndims($3) > 1 OR array_ndims($7) > 1 OR array_ndims($8) > 1 OR cardinality($2) > 10000 THEN
    -- Either there is nothing to start, or a server refuses the call.
    BEGIN
      RETURN QUERY SELECT r.* FROM workflow_router.workflow_start_many(workflow_router.server_of(anywhere), $1, $2, $3, $4, $5, anywhere, $7, $8) AS r;
      RETURN;
    {pass_on}
    END;
  END IF;
  FOR home, places IN
    SELECT coalesce($6, pg_catalog.workflow_part(k.key), anywhere), array_agg(p.place ORDER BY p.place)
    FROM generate_series(1, cardinality($2)) AS p (place)
    LEFT JOIN unnest($3) WITH ORDINALITY AS k (key, place) ON k.place = p.place
    GROUP BY 1 ORDER BY 1
  LOOP
    one := workflow_router.server_of(home);
    LOOP
      BEGIN
        started := ARRAY(SELECT r.id FROM workflow_router.workflow_start_many(one, $1,
            ARRAY(SELECT e.element FROM unnest($2) WITH ORDINALITY AS e (element, place) WHERE e.place = ANY (places) ORDER BY e.place),
            CASE WHEN $3 IS NOT NULL THEN ARRAY(SELECT e.element FROM unnest($3) WITH ORDINALITY AS e (element, place) WHERE e.place = ANY (places) ORDER BY e.place) END,
            $4, $5, home,
            CASE WHEN $7 IS NOT NULL THEN ARRAY(SELECT e.element FROM unnest($7) WITH ORDINALITY AS e (element, place) WHERE e.place = ANY (places) ORDER BY e.place) END,
            CASE WHEN $8 IS NOT NULL THEN ARRAY(SELECT e.element FROM unnest($8) WITH ORDINALITY AS e (element, place) WHERE e.place = ANY (places) ORDER BY e.place) END)
          WITH ORDINALITY AS r (id, place) ORDER BY r.place);
        EXIT;
      EXCEPTION WHEN OTHERS THEN
        {diagnose}
        one := workflow_router.after_error(began, home, one, {error});
      END;
    END LOOP;
    FOR place IN 1 .. cardinality(places) LOOP
      ids[places[place]] := started[place];
    END LOOP;
  END LOOP;
  RETURN QUERY SELECT i.id FROM unnest(ids) WITH ORDINALITY AS i (id, place) ORDER BY i.place;
END
--: workflow_schedule
DECLARE
  began timestamptz := clock_timestamp();
  old int;
  home int;
  one int;
  {declare}
BEGIN
  -- A concurrent call with the same name has to see this schedule.
  PERFORM pg_advisory_xact_lock(hashtextextended($1, 0));
  -- An existing schedule is replaced where it is: there must not be two with the same name.
  old := workflow_router.schedule_part($1);
  home := coalesce($10, old, pg_catalog.workflow_part($1));
  one := workflow_router.server_at(home);
  IF old IS NOT NULL AND workflow_router.server_at(old) <> one THEN
    PERFORM workflow_router.refuse('WF611: the schedule exists on another server', format('It is in part %s, which is not on the server of part %s.', old, home),
      'Omit part, or delete the schedule with workflow_unschedule first.');
  END IF;
  LOOP
    BEGIN
      RETURN QUERY SELECT r.* FROM workflow_router.workflow_schedule(one, $1, $2, $3, $4, $5, $6, $7, $8, $9, home) AS r;
      RETURN;
    EXCEPTION WHEN OTHERS THEN
      {diagnose}
      one := workflow_router.after_error(began, home, one, {error});
    END;
  END LOOP;
END
--: workflow_claim
BEGIN
  RETURN QUERY SELECT c.* FROM workflow_router.claim(NULL, $1, $2, $3, $4, $5) AS c;
END
--: workflow_finish_and_claim
DECLARE
  servers int[];
  home int;
  one int;
  {declare}
  rows workflow_router.workflow_finish_and_claim_row[] := '{}';
  moved int[];
BEGIN
  home := ($2)[1].task >> 48;
  IF (SELECT every(o.task >> 48 = home) FROM unnest($2) AS o) THEN
    servers := ARRAY[workflow_router.server_of(home)];
  ELSE
    servers := ARRAY(SELECT DISTINCT coalesce(m.server, workflow_router.publisher()) FROM unnest($2) AS o
      LEFT JOIN workflow_router.part AS m ON m.part = o.task >> 48);
  END IF;
  -- Usually one server has all of them, and also hands over the tasks that follow. From time to time this session claims on any server
  -- instead, so that the tasks of other servers get their turn.
  IF $2 IS NULL OR cardinality(servers) = 1 AND $6 IS NULL AND NOT workflow_router.looks_around() THEN
    one := coalesce(servers[1], workflow_router.publisher());
    BEGIN
      rows := ARRAY(SELECT r FROM workflow_router.workflow_finish_and_claim(one, $1, $2, $3, $4, $5, NULL) AS r);
    {pass_on}
    END;
    moved := ARRAY(SELECT r.place FROM unnest(rows) WITH ORDINALITY AS r (task, lease_token, state, code, message, execution, task_name,
      task_index, action, input, attempt, lease_until, deadline, last_error, progress, traceparent, workflow_ref, place) WHERE r.code = 'WF622' ORDER BY r.place);
    IF moved <> '{}' THEN
      PERFORM workflow_router.refresh();
      RETURN QUERY
      SELECT coalesce(a.task, r.task), coalesce(a.lease_token, r.lease_token),
        CASE WHEN a.place IS NULL THEN r.state ELSE a.state END, CASE WHEN a.place IS NULL THEN r.code ELSE a.code END,
        CASE WHEN a.place IS NULL THEN r.message ELSE a.message END,
        r.execution, r.task_name, r.task_index, r.action, r.input, r.attempt, r.lease_until, r.deadline, r.last_error, r.progress, r.traceparent, r.workflow_ref
      FROM unnest(rows) WITH ORDINALITY AS r (task, lease_token, state, code, message, execution, task_name,
        task_index, action, input, attempt, lease_until, deadline, last_error, progress, traceparent, workflow_ref, place)
      LEFT JOIN (
        SELECT moved[f.place] AS place, f.task, f.lease_token, f.state, f.code, f.message
        FROM pg_catalog.workflow_finish(ARRAY(SELECT ($2)[m] FROM unnest(moved) WITH ORDINALITY AS m (m, place) ORDER BY m.place))
          WITH ORDINALITY AS f (task, lease_token, state, code, message, place)) AS a ON a.place = r.place
      ORDER BY r.place;
    ELSE
      RETURN QUERY SELECT r.* FROM unnest(rows) AS r;
    END IF;
    -- The server had fewer tasks than requested, so the others are asked.
    IF cardinality(rows) - cardinality($2) < $3 THEN
      RETURN QUERY
      SELECT c.task, c.lease_token, 'claimed', NULL::text, NULL::text, c.execution, c.task_name, c.task_index, c.action, c.input, c.attempt,
        c.lease_until, c.deadline, c.last_error, c.progress, c.traceparent, c.workflow_ref
      FROM workflow_router.claim(one, $1, $3 - (cardinality(rows) - cardinality($2)), $4, $5, NULL) AS c;
    END IF;
  ELSE
    IF cardinality($2) > 0 THEN
      RETURN QUERY SELECT f.task, f.lease_token, f.state, f.code, f.message, NULL::bigint, NULL::text, NULL::int, NULL::text, NULL::jsonb,
        NULL::int, NULL::timestamptz, NULL::timestamptz, NULL::jsonb, NULL::jsonb, NULL::text, NULL::text
      FROM pg_catalog.workflow_finish($2) AS f;
    END IF;
    BEGIN
      RETURN QUERY
      SELECT c.task, c.lease_token, 'claimed', NULL::text, NULL::text, c.execution, c.task_name, c.task_index, c.action, c.input, c.attempt,
        c.lease_until, c.deadline, c.last_error, c.progress, c.traceparent, c.workflow_ref
      FROM pg_catalog.workflow_claim($1, $3, $4, $5, $6) AS c;
    EXCEPTION WHEN connection_exception THEN
      IF coalesce(cardinality($2), 0) = 0 THEN
        RAISE;
      END IF;
      -- The reports must still be answered.
      RAISE WARNING '%', SQLERRM;
    END;
  END IF;
END
--: workflow_finish_json
DECLARE
  began timestamptz := clock_timestamp();
  answers jsonb[];
  open int[];
  one int;
  places int[];
  given jsonb;
  {declare}
BEGIN
  IF jsonb_typeof($1) IS DISTINCT FROM 'array' OR jsonb_array_length($1) NOT BETWEEN 1 AND 10000 THEN
    -- Either a server refuses the call, or there is nothing to do.
    RETURN workflow_router.finish_json_on(workflow_router.publisher(), $1);
  END IF;
  open := ARRAY(SELECT generate_series(1, jsonb_array_length($1)));
  answers := array_fill(NULL::jsonb, ARRAY[cardinality(open)]);
  LOOP
    FOR one, places, given IN
      SELECT workflow_router.server_of(workflow_router.json_part(o.outcome)), array_agg(o.place ORDER BY o.place), jsonb_agg(o.outcome ORDER BY o.place)
      FROM jsonb_array_elements($1) WITH ORDINALITY AS o (outcome, place) WHERE o.place = ANY (open) GROUP BY 1 ORDER BY 1
    LOOP
      given := workflow_router.finish_json_on(one, given);
      FOR place IN 1 .. cardinality(places) LOOP
        answers[places[place]] := given -> (place - 1);
      END LOOP;
    END LOOP;
    open := ARRAY(SELECT p FROM unnest(open) AS p WHERE answers[p] ->> 'code' = 'WF622');
    EXIT WHEN open = '{}' OR clock_timestamp() > began + workflow_router.patience();
    PERFORM workflow_router.refresh();
    PERFORM pg_sleep(0.02);
  END LOOP;
  RETURN (SELECT jsonb_agg(a.answer ORDER BY a.place) FROM unnest(answers) WITH ORDINALITY AS a (answer, place));
END
--: workflow_finish_and_claim_json
DECLARE
  servers int[];
  one int;
  answer jsonb;
  missing int;
  {declare}
BEGIN
  IF jsonb_typeof($2) = 'array' THEN
    servers := ARRAY(SELECT DISTINCT workflow_router.server_of(workflow_router.json_part(o.outcome)) FROM jsonb_array_elements($2) AS o (outcome));
  END IF;
  IF servers IS NULL OR cardinality(servers) = 1 AND $6 IS NULL AND NOT workflow_router.looks_around() THEN
    one := coalesce(servers[1], workflow_router.publisher());
    BEGIN
      answer := workflow_router.workflow_finish_and_claim_json(one, $1, $2, $3, $4, $5, NULL);
    {pass_on}
    END;
    IF answer @> '{"answers": [{"code": "WF622"}]}' THEN
      -- Those that were accepted get the same answer again.
      PERFORM workflow_router.refresh();
      answer := answer || jsonb_build_object('answers', pg_catalog.workflow_finish_json($2));
    END IF;
    missing := $3 - jsonb_array_length(answer -> 'tasks');
    IF missing > 0 THEN
      answer := answer || jsonb_build_object('tasks', answer -> 'tasks' || coalesce((
        SELECT jsonb_agg(workflow_router.task_json(to_jsonb(c))) FROM workflow_router.claim(one, $1, missing, $4, $5, NULL) AS c), '[]'));
    END IF;
    RETURN answer;
  END IF;
  answer := jsonb_build_object('answers', CASE WHEN $2 = '[]' THEN '[]' ELSE pg_catalog.workflow_finish_json($2) END);
  BEGIN
    answer := answer || jsonb_build_object('tasks', coalesce((
      SELECT jsonb_agg(workflow_router.task_json(to_jsonb(c))) FROM pg_catalog.workflow_claim($1, $3, $4, $5, $6) AS c), '[]'));
  EXCEPTION WHEN connection_exception THEN
    IF $2 = '[]' THEN
      RAISE;
    END IF;
    RAISE WARNING '%', SQLERRM;
    answer := answer || '{"tasks": []}';
  END;
  RETURN answer;
END
--: workflow_tick
DECLARE
  one int;
  own int[];
  done int := 0;
  answered boolean := false;
  {declare}
BEGIN
  FOR one IN SELECT t FROM workflow_router.turn() AS t LOOP
    own := workflow_router.parts_of(one, $2);
    CONTINUE WHEN own IS NULL AND $2 IS NOT NULL;
    BEGIN
      done := done + workflow_router.workflow_tick(one, $1, own);
      answered := true;
    EXCEPTION WHEN OTHERS THEN
      {diagnose}
      IF workflow_router.has_moved(error_message) THEN
        PERFORM workflow_router.refresh();
        answered := true;
      ELSIF NOT workflow_router.is_away(error_state, error_message) THEN
        PERFORM workflow_router.raise({error});
      ELSE
        PERFORM workflow_router.note_away(one, error_message);
      END IF;
    END;
  END LOOP;
  IF NOT answered AND error_message IS NOT NULL THEN
    PERFORM workflow_router.raise({error});
  END IF;
  RETURN done;
END
--: workflow_search guarded
RETURN QUERY
WITH found AS MATERIALIZED (
  SELECT r, split_part(r.cursor, ':', 1)::bigint AS created_place, split_part(r.cursor, ':', 2)::bigint AS id_place
  FROM workflow_router.workflow_search_everywhere($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS r),
-- The position reached by the server that has searched least far: beyond it, rows of that server may be missing.
reached AS (SELECT f.created_place, f.id_place FROM found AS f WHERE (f.r).execution IS NULL ORDER BY f.created_place DESC, f.id_place DESC LIMIT 1)
SELECT (f.r).* FROM found AS f LEFT JOIN reached AS n ON true
WHERE n.id_place IS NULL OR (f.created_place, f.id_place) >= (n.created_place, n.id_place)
ORDER BY f.created_place DESC, f.id_place DESC LIMIT greatest($9, 1);
--: workflow_list_limit_keys guarded
RETURN QUERY
SELECT r.key, sum(r.running)::bigint, sum(r.waiting)::bigint, min(r.waiting_since), max(r.next_at), max(r.held_until),
  (array_agg(r.held_by ORDER BY r.held_until DESC NULLS LAST))[1], (array_agg(r.held_because ORDER BY r.held_until DESC NULLS LAST))[1]
FROM workflow_router.workflow_list_limit_keys_everywhere($1, $2, $3) AS r
GROUP BY r.key ORDER BY r.key LIMIT greatest($2, 1);
--: workflow_grant guarded
PERFORM workflow_router.workflow_grant_everywhere($1, $2, $3);
PERFORM workflow_router.set_level($1, $2, true);
--: workflow_revoke guarded
PERFORM workflow_router.workflow_revoke_everywhere($1, $2);
PERFORM workflow_router.set_level($1, $2, false);
