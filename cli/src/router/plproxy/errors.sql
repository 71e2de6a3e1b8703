CREATE OR REPLACE FUNCTION workflow_router.raise(state text, message text, detail text, hint text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  remote text := substring(message FROM '^[^ ]+\([0-9]+\): \[[^]]*\] REMOTE [^:]+: (.*)$');
  away text := substring(message FROM '^PL/Proxy function [^ ]+\([0-9]+\): (.*)$');
BEGIN
  IF remote IS NOT NULL THEN
    message := remote;
    detail := substring(detail FROM '^Remote detail: (.*)$');
    hint := substring(hint FROM '^Remote hint: (.*)$');
  ELSIF away IS NOT NULL THEN
    state := '08006';
    message := format('the server could not be reached: %s', rtrim(away, E'\n'));
    hint := 'It is unknown whether the call was executed. Repeat it when the server is available again.';
  END IF;
  PERFORM workflow_router.refuse(message, detail, hint, state);
END $$;
COMMENT ON FUNCTION workflow_router.raise(text, text, text, text) IS
  'Raises an error of a server as the server has raised it, without what PL/Proxy puts before it; one about the connection as 08006.';

CREATE OR REPLACE FUNCTION workflow_router.is_away(state text, message text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN message LIKE 'PL/Proxy function %' OR state ~ '^(08|53|57P)';
COMMENT ON FUNCTION workflow_router.is_away(text, text) IS 'Whether an error is about the server rather than about the call.';

CREATE OR REPLACE FUNCTION workflow_router.has_moved(message text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN message ~ '^[^ ]+\([0-9]+\): \[[^]]*\] REMOTE [^:]+: WF622: ';
COMMENT ON FUNCTION workflow_router.has_moved(text) IS 'Whether an error says that the server no longer has the part.';

CREATE OR REPLACE FUNCTION workflow_router.patience() RETURNS interval
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN interval '30 seconds';
COMMENT ON FUNCTION workflow_router.patience() IS 'Returns how long a call waits for a part that is being moved.';
