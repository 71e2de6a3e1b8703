CREATE OR REPLACE FUNCTION workflow_router.looks_around() RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now float8 := extract(epoch FROM clock_timestamp());
BEGIN
  IF nullif(current_setting('workflow_router.looked', true), '')::float8 BETWEEN now - 0.1 AND now THEN
    RETURN false;
  END IF;
  PERFORM set_config('workflow_router.looked', now::text, false);
  RETURN (SELECT count(*) FROM workflow_router.server) > 1;
END $$;
COMMENT ON FUNCTION workflow_router.looks_around() IS
  'Whether this session is to claim on any server rather than on the one that it reports to: ten times a second, so that tasks of others get their turn.';

CREATE OR REPLACE FUNCTION workflow_router.claim(besides int, worker text, max_tasks int, actions text[], lease interval, parts int[])
RETURNS SETOF workflow_router.workflow_claim_row
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  one int;
  own int[];
  got int := 0;
  claimed int;
  answered boolean := besides IS NOT NULL;
  moved boolean := false;
  {declare}
BEGIN
  FOR one IN SELECT t FROM workflow_router.turn() AS t WHERE t IS DISTINCT FROM besides LOOP
    own := workflow_router.parts_of(one, claim.parts);
    CONTINUE WHEN own IS NULL AND parts IS NOT NULL;
    BEGIN
      RETURN QUERY SELECT r.* FROM workflow_router.workflow_claim(one, worker, max_tasks - got, actions, lease, own) AS r;
      GET DIAGNOSTICS claimed = ROW_COUNT;
      got := got + claimed;
      answered := true;
    EXCEPTION WHEN OTHERS THEN
      {diagnose}
      IF workflow_router.is_away(error_state, error_message) THEN
        PERFORM workflow_router.note_away(one, error_message);
      ELSIF workflow_router.has_moved(error_message) THEN
        -- A requested part has moved: the next claim finds it.
        moved := true;
      ELSIF got > 0 OR besides IS NOT NULL THEN
        -- Tasks that have been claimed must not be lost.
        RAISE WARNING '%', error_message;
      ELSE
        PERFORM workflow_router.raise({error});
      END IF;
    END;
    EXIT WHEN got >= max_tasks;
  END LOOP;
  IF moved THEN
    PERFORM workflow_router.refresh();
  ELSIF NOT answered AND error_message IS NOT NULL THEN
    PERFORM workflow_router.raise({error});
  END IF;
END $$;
COMMENT ON FUNCTION workflow_router.claim(int, text, int, text[], interval, int[]) IS
  'Claims tasks on all servers but one, beginning with another each time, until there are as many as wanted. Passes over a server that is away; all being away is an error, unless one is left out.';

CREATE OR REPLACE FUNCTION workflow_router.json_part(outcome jsonb) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN outcome ->> 'task' ~ '^[0-9]{1,18}$' THEN ((outcome ->> 'task')::bigint >> 48)::int END;
COMMENT ON FUNCTION workflow_router.json_part(jsonb) IS 'Returns the part of the task of an outcome in JSON; null: it names none.';

CREATE OR REPLACE FUNCTION workflow_router.task_json(task jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN task || jsonb_build_object('task', task ->> 'task', 'lease_token', task ->> 'lease_token', 'execution', task ->> 'execution');
COMMENT ON FUNCTION workflow_router.task_json(jsonb) IS 'Returns a claimed task as workflow_finish_and_claim_json shows it.';

CREATE OR REPLACE FUNCTION workflow_router.finish_json_on(server int, outcomes jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  {declare}
BEGIN
  RETURN workflow_router.workflow_finish_json(server, outcomes);
{pass_on}
END $$;
COMMENT ON FUNCTION workflow_router.finish_json_on(int, jsonb) IS 'Reports outcomes in JSON to one server.';
