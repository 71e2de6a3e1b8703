-- Building blocks of other functions: errors, ids, the clock, and checks of arguments.

CREATE FUNCTION workflow.raise_error(code text, message text, detail text DEFAULT NULL, hint text DEFAULT NULL)
RETURNS void LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'raise_error_wrapper';
COMMENT ON FUNCTION workflow.raise_error(text, text, text, text) IS
  'Raises an error: the code ("WF616") starts the message and determines the SQLSTATE, the value goes to detail, the remedy to hint.';
REVOKE ALL ON FUNCTION workflow.raise_error(text, text, text, text) FROM PUBLIC;

CREATE FUNCTION workflow.now() RETURNS timestamptz LANGUAGE c VOLATILE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_now_wrapper';
COMMENT ON FUNCTION workflow.now() IS
  'Returns the time that every function uses: the clock''s, or pg_workflow.test_now if a superuser has set it.';
REVOKE ALL ON FUNCTION workflow.now() FROM PUBLIC;

CREATE FUNCTION workflow.make_id(part int, sequence bigint) RETURNS bigint
LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'make_id_wrapper';
COMMENT ON FUNCTION workflow.make_id(int, bigint) IS
  'Returns part << 48 | pg_workflow.node << 40 | sequence: a globally unique id that contains its part.';
REVOKE ALL ON FUNCTION workflow.make_id(int, bigint) FROM PUBLIC;

CREATE FUNCTION workflow.add_errors(errors jsonb, more jsonb, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF more IS NULL THEN
    RETURN errors;
  END IF;
  RETURN (SELECT jsonb_agg(e.error ORDER BY e.place) FROM (
    SELECT o.error, o.place FROM jsonb_array_elements(errors) WITH ORDINALITY AS o(error, place)
    UNION ALL
    SELECT jsonb_build_object('time', at) || m.error, 1000 + m.place FROM jsonb_array_elements(more) WITH ORDINALITY AS m(error, place)
    ORDER BY place LIMIT 100) AS e);
END $$;
COMMENT ON FUNCTION workflow.add_errors(jsonb, jsonb, timestamptz) IS
  'Returns the errors of an execution with further ones appended, which happened at the given time; keeps the first 100.';
REVOKE ALL ON FUNCTION workflow.add_errors(jsonb, jsonb, timestamptz) FROM PUBLIC;

CREATE FUNCTION workflow.require(name text, value anyelement) RETURNS void LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF value IS NULL THEN
    PERFORM workflow.raise_error('WF613', pg_catalog.format('%s is null', name), NULL,
      pg_catalog.format('Pass a value for %s.', name));
  END IF;
END $$;
COMMENT ON FUNCTION workflow.require(text, anyelement) IS 'Raises WF613, naming the argument, if its value is null.';
REVOKE ALL ON FUNCTION workflow.require(text, anyelement) FROM PUBLIC;

CREATE FUNCTION workflow.check_key(name text, value text) RETURNS void
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_key_wrapper';
COMMENT ON FUNCTION workflow.check_key(text, text) IS
  'Raises WF613, naming the argument, if its value is longer than 1000 bytes, a length that fits into any index entry; null passes.';
REVOKE ALL ON FUNCTION workflow.check_key(text, text) FROM PUBLIC;

CREATE FUNCTION workflow.page_size(max_rows int) RETURNS int LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF max_rows IS NULL OR max_rows < 1 OR max_rows > 10000 THEN
    PERFORM workflow.raise_error('WF613', 'max_rows is out of range', pg_catalog.format('max_rows is %s.', coalesce(max_rows::text, 'null')),
      'Use 1 to 10000, and page through more rows with after.');
  END IF;
  RETURN max_rows;
END $$;
COMMENT ON FUNCTION workflow.page_size(int) IS 'Returns max_rows; raises WF613 if it is null or not 1 to 10000.';
REVOKE ALL ON FUNCTION workflow.page_size(int) FROM PUBLIC;
