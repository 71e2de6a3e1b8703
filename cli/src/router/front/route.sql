CREATE OR REPLACE FUNCTION workflow_router.refuse(message text, detail text, hint text, state text DEFAULT '55000') RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF coalesce(detail, '') <> '' AND coalesce(hint, '') <> '' THEN
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail, HINT = hint;
  ELSIF coalesce(detail, '') <> '' THEN
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, DETAIL = detail;
  ELSIF coalesce(hint, '') <> '' THEN
    RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message, HINT = hint;
  END IF;
  RAISE EXCEPTION USING ERRCODE = state, MESSAGE = message;
END $$;
COMMENT ON FUNCTION workflow_router.refuse(text, text, text, text) IS 'Raises an error, without a detail or a hint if that is empty.';

CREATE OR REPLACE FUNCTION workflow_router.publisher() RETURNS int
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (SELECT s.number FROM workflow_router.server AS s WHERE s.is_publisher);
END $$;
COMMENT ON FUNCTION workflow_router.publisher() IS 'Returns the server that publishes the definitions.';

CREATE OR REPLACE FUNCTION workflow_router.refresh() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  one int;
  parts text;
BEGIN
  FOR one IN SELECT s.number FROM workflow_router.server AS s ORDER BY s.number LOOP
    BEGIN
      parts := workflow_router.workflow_find_parts(one);
      -- Skips rows that another session is correcting.
      UPDATE workflow_router.part AS p SET server = one
      FROM (
        SELECT m.part FROM workflow_router.part AS m
        JOIN regexp_split_to_table(parts, ',') AS r (range) ON r.range <> ''
          AND m.part BETWEEN split_part(r.range, '-', 1)::int AND coalesce(nullif(split_part(r.range, '-', 2), ''), split_part(r.range, '-', 1))::int
        WHERE m.server <> one FOR UPDATE OF m SKIP LOCKED) AS moved
      WHERE p.part = moved.part;
    EXCEPTION WHEN OTHERS THEN
      -- The server is away, or the transaction is read-only or has an old snapshot: the map stays as it is.
      NULL;
    END;
  END LOOP;
END $$;
COMMENT ON FUNCTION workflow_router.refresh() IS
  'Asks all servers which parts they have, and corrects the map, with the rights of the router''s owner. A server that does not answer is left out.';

CREATE OR REPLACE FUNCTION workflow_router.locate(part int) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  one int;
  trouble text;
BEGIN
  FOR one IN SELECT s.number FROM workflow_router.server AS s ORDER BY s.number LOOP
    BEGIN
      IF (SELECT f.status FROM workflow_router.workflow_find_part(one, locate.part) AS f) = 'here' THEN
        RETURN one;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      trouble := SQLERRM;
      RAISE WARNING 'skipping server %: %', one, trouble;
    END;
  END LOOP;
  RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow_router.locate(int) IS
  'Asks the servers which of them has a part, with the rights of the router''s owner; null: none that answers.';

CREATE OR REPLACE FUNCTION workflow_router.server_of(part int) RETURNS int
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  one int;
BEGIN
  SELECT p.server INTO one FROM workflow_router.part AS p WHERE p.part = server_of.part;
  -- If this is not a valid part, a server refuses it.
  RETURN coalesce(one, workflow_router.publisher());
END $$;
COMMENT ON FUNCTION workflow_router.server_of(int) IS 'Returns the server that has a part, as far as the map says.';

CREATE OR REPLACE FUNCTION workflow_router.server_at(part int) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN coalesce(CASE WHEN part BETWEEN 0 AND 1023 THEN workflow_router.locate(part) END, workflow_router.server_of(part));
END $$;
COMMENT ON FUNCTION workflow_router.server_at(int) IS 'Returns the server that has a part, as the servers say.';

CREATE OR REPLACE FUNCTION workflow_router.any_part(part int) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN coalesce(part, floor(random() * 1024)::int);
END $$;
COMMENT ON FUNCTION workflow_router.any_part(int) IS 'Returns the part, or any if it is null, so that load spreads.';

CREATE OR REPLACE FUNCTION workflow_router.after_error(began timestamptz, part int, server int, state text, message text, detail text, hint text)
RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  found int;
BEGIN
  IF workflow_router.has_moved(message) AND part BETWEEN 0 AND 1023 THEN
    LOOP
      found := workflow_router.locate(part);
      IF found <> server THEN
        PERFORM workflow_router.refresh();
      END IF;
      EXIT WHEN clock_timestamp() > began + workflow_router.patience();
      IF found IS NOT NULL THEN
        RETURN found;
      END IF;
      -- The part is being moved: neither server has it.
      PERFORM pg_sleep(0.02);
    END LOOP;
  END IF;
  PERFORM workflow_router.raise(state, message, detail, hint);
END $$;
COMMENT ON FUNCTION workflow_router.after_error(timestamptz, int, int, text, text, text, text) IS
  'Returns the server on which a call is to be tried again, because the part has moved; waits while it is moving, as long as workflow_router.patience() says. Raises any other error.';

CREATE OR REPLACE FUNCTION workflow_router.note_away(server int, message text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE WARNING 'skipping server %: %', server, message;
  PERFORM set_config(format('workflow_router.away_%s', server), (extract(epoch FROM clock_timestamp()) + 5)::text, false);
END $$;
COMMENT ON FUNCTION workflow_router.note_away(int, text) IS 'Lets this session leave out a server for five seconds, so that it does not wait for one that is away at each call.';

CREATE OR REPLACE FUNCTION workflow_router.turn(first int DEFAULT NULL) RETURNS SETOF int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE ROWS 10 SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now float8 := extract(epoch FROM clock_timestamp());
  start int := coalesce(first, floor(random() * 1000000)::int);
BEGIN
  RETURN QUERY
  SELECT s.number FROM (
    SELECT o.*, row_number() OVER (ORDER BY o.number) AS place, count(*) OVER () AS servers, bool_and(o.is_away) OVER () AS all_away
    FROM (
      SELECT n.number, coalesce(nullif(current_setting(format('workflow_router.away_%s', n.number), true), '')::float8 > now, false) AS is_away
      FROM workflow_router.server AS n) AS o) AS s
  WHERE NOT s.is_away OR s.all_away
  ORDER BY (s.place - 1 - start % s.servers + s.servers) % s.servers;
END $$;
COMMENT ON FUNCTION workflow_router.turn(int) IS
  'Returns all servers, beginning with the given one or, if it is null, with any; without those that did not answer this session in the last five seconds, unless none did.';

CREATE OR REPLACE FUNCTION workflow_router.parts_of(server int, parts int[]) RETURNS int[]
LANGUAGE plpgsql STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF parts IS NULL OR parts = '{}' OR EXISTS (SELECT FROM unnest(parts) AS p (part) WHERE p.part BETWEEN 0 AND 1023 IS NOT TRUE) THEN
    -- Either all parts are meant, or a server refuses the call.
    RETURN parts;
  END IF;
  RETURN nullif(ARRAY(SELECT p.part FROM unnest(parts) AS p (part) JOIN workflow_router.part AS m ON m.part = p.part WHERE m.server = parts_of.server), '{}');
END $$;
COMMENT ON FUNCTION workflow_router.parts_of(int, int[]) IS 'Returns those of the parts that a server has; null: none.';

CREATE OR REPLACE FUNCTION workflow_router.schedule_part(name text) RETURNS int
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF name IS NULL THEN
    RETURN NULL;
  END IF;
  RETURN (SELECT max(s.part) FROM workflow_router.workflow_find_schedule_everywhere(name) AS s);
END $$;
COMMENT ON FUNCTION workflow_router.schedule_part(text) IS 'Returns the part of the schedule with a name; null: there is none.';

CREATE OR REPLACE FUNCTION workflow_router.set_level(role name, level text, granted boolean) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  contained text[] := CASE level WHEN 'worker' THEN '{worker}' WHEN 'reader' THEN '{reader}' WHEN 'operator' THEN '{reader,operator}'
    WHEN 'author' THEN '{reader,operator,author}' END;
  what text := CASE WHEN granted THEN 'GRANT %s TO %I' ELSE 'REVOKE %s FROM %I' END;
  object text;
BEGIN
  FOR object IN
    SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) FROM pg_proc AS p
    JOIN workflow_router.api AS a ON p.proname = a.name
      OR p.pronamespace = 'workflow_router'::regnamespace AND p.proname IN (a.name || '_everywhere', a.name || '_split')
    WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'workflow_router'::regnamespace) AND a.level = ANY (contained)
    UNION ALL
    -- Internal functions that these call. Revoking a level keeps them, because other levels need them too; by themselves they do nothing.
    SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) FROM pg_proc AS p
    WHERE granted AND p.pronamespace = 'workflow_router'::regnamespace AND p.proname NOT LIKE 'workflow\_%' AND p.proname NOT LIKE 'view\_%' AND p.proname <> 'set_level'
    UNION ALL
    SELECT o.object FROM unnest('{USAGE ON SCHEMA workflow, USAGE ON SCHEMA workflow_router, SELECT ON workflow_router.server,
      SELECT ON workflow_router.part}'::text[]) AS o (object) WHERE granted
    UNION ALL
    SELECT format('SELECT ON %s', c.oid::regclass) FROM pg_class AS c
    WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v' AND 'reader' = ANY (contained)
    UNION ALL
    SELECT format('EXECUTE ON FUNCTION %s', p.oid::regprocedure) FROM pg_proc AS p
    JOIN pg_class AS c ON p.proname = 'view_' || c.relname AND c.relnamespace = 'workflow'::regnamespace
    WHERE p.pronamespace = 'workflow_router'::regnamespace AND 'reader' = ANY (contained)
  LOOP
    EXECUTE format(what, object, role);
  END LOOP;
  DELETE FROM workflow_router.granted AS g WHERE (g.role, g.level) = (set_level.role, set_level.level);
  IF granted THEN
    INSERT INTO workflow_router.granted VALUES (set_level.role, set_level.level);
  END IF;
END $$;
COMMENT ON FUNCTION workflow_router.set_level(name, text, boolean) IS 'Grants a role what a level may do on this router, or revokes it.';
