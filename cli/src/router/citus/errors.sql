CREATE OR REPLACE FUNCTION workflow_router.raise(state text, message text, detail text, hint text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  -- Citus does not set a code if a connection is lost during a call.
  IF message LIKE 'server closed the connection unexpectedly%' THEN
    state := '08006';
  END IF;
  PERFORM workflow_router.refuse(message, detail, hint, state);
END $$;
COMMENT ON FUNCTION workflow_router.raise(text, text, text, text) IS 'Raises an error of a server again, one about a lost connection as 08006.';

CREATE OR REPLACE FUNCTION workflow_router.is_away(state text, message text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN state ~ '^(08|53|57P)' OR message LIKE 'server closed the connection unexpectedly%';
COMMENT ON FUNCTION workflow_router.is_away(text, text) IS 'Whether an error is about the server rather than about the call.';

CREATE OR REPLACE FUNCTION workflow_router.has_moved(message text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN message ~ '^WF622: ';
COMMENT ON FUNCTION workflow_router.has_moved(text) IS 'Whether an error says that the server no longer has the part.';

CREATE OR REPLACE FUNCTION workflow_router.patience() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN interval '5 seconds';
COMMENT ON FUNCTION workflow_router.patience() IS 'Returns how long a call waits for a part that is being moved.';
