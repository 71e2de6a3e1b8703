-- What other functions are made of: errors, ids, the clock, and the checks of arguments.

CREATE FUNCTION workflow.raise_error(code text, message text, detail text DEFAULT NULL, hint text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'raise_error_wrapper';
COMMENT ON FUNCTION workflow.raise_error(text, text, text, text) IS
  'Raises an error: the code ("WF616") leads the message and decides the SQLSTATE, the value goes to detail, the remedy to hint.';
REVOKE ALL ON FUNCTION workflow.raise_error(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION workflow.now() RETURNS timestamptz LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_now_wrapper';
COMMENT ON FUNCTION workflow.now() IS
  'The time that every function goes by: the clock''s, or what a superuser set as pg_workflow.test_now.';
REVOKE ALL ON FUNCTION workflow.now() FROM PUBLIC;

CREATE FUNCTION workflow.make_id(part int, sequence bigint) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'make_id_wrapper';
COMMENT ON FUNCTION workflow.make_id(int, bigint) IS
  'part << 48 | pg_workflow.node << 40 | sequence: an id that is unique everywhere and names its part.';
REVOKE ALL ON FUNCTION workflow.make_id(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.require(name text, value anyelement) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF value IS NULL THEN
    PERFORM workflow.raise_error('WF613', pg_catalog.format('%s is null', name), NULL,
      pg_catalog.format('give %s a value', name));
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require(text, anyelement) IS 'Raises WF613, naming the argument, where its value is null.';
REVOKE ALL ON FUNCTION workflow.require(text, anyelement) FROM PUBLIC;

CREATE FUNCTION workflow.check_key(name text, value text) RETURNS void
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_key_wrapper';
COMMENT ON FUNCTION workflow.check_key(text, text) IS
  'Raises WF613, naming the argument, where its value is longer than the 1000 bytes that an index takes for certain; null passes.';
REVOKE ALL ON FUNCTION workflow.check_key(text, text) FROM PUBLIC;

CREATE FUNCTION workflow.page_size(max_rows int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF max_rows IS NULL OR max_rows < 1 OR max_rows > 10000 THEN
    PERFORM workflow.raise_error('WF613', 'max_rows is out of range', pg_catalog.format('max_rows is %s', coalesce(max_rows::text, 'null')),
      'ask for 1 to 10000 rows, and for more with after');
  END IF;
  RETURN max_rows;
END $$;
COMMENT ON FUNCTION workflow.page_size(int) IS 'max_rows, or WF613 where it is not 1 to 10000.';
REVOKE ALL ON FUNCTION workflow.page_size(int) FROM PUBLIC;
