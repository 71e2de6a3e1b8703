-- Parts: the unit by which several servers share the work. A server does the work of all parts except those in
-- workflow.foreign_part.
--
-- Whether this server may write the rows of a part is decided here and in cache/foreign_parts.rs, at the start of each call. The
-- state is a table rather than a setting, because it has to change in a transaction, be visible to open sessions, and be part of
-- dumps and standbys.

CREATE TABLE workflow.foreign_part (
  part int PRIMARY KEY CONSTRAINT foreign_part_part_check CHECK (part BETWEEN 0 AND 1023),
  status text NOT NULL CONSTRAINT foreign_part_status_check CHECK (status IN ('elsewhere', 'leaving', 'arriving')),
  server text,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workflow.foreign_part IS
  'Parts whose work another server does, so that calls about them are refused here; all other parts belong to this server. Only the owner can write it.';
COMMENT ON COLUMN workflow.foreign_part.part IS 'The part.';
COMMENT ON COLUMN workflow.foreign_part.status IS
  'elsewhere: another server has it; leaving: another server is about to take it over from this one; arriving: it is being copied to this server, but does not belong to it yet.';
COMMENT ON COLUMN workflow.foreign_part.server IS
  'Name of the server that has it, takes it over, or hands it over; NULL: unknown.';
COMMENT ON COLUMN workflow.foreign_part.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.foreign_part.updated IS 'When the row last changed.';
SELECT pg_catalog.pg_extension_config_dump('workflow.foreign_part', '');

CREATE FUNCTION workflow.forget_foreign_parts() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_forget_foreign_parts_wrapper';
COMMENT ON FUNCTION workflow.forget_foreign_parts() IS
  'Trigger of workflow.foreign_part: makes every session discard its cached set of foreign parts at commit.';
REVOKE ALL ON FUNCTION workflow.forget_foreign_parts() FROM PUBLIC;
CREATE TRIGGER forget_foreign_parts AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow.foreign_part
FOR EACH STATEMENT EXECUTE FUNCTION workflow.forget_foreign_parts();
ALTER TABLE workflow.foreign_part ENABLE ALWAYS TRIGGER forget_foreign_parts;

CREATE FUNCTION pg_catalog.workflow_part(key text) RETURNS int
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  hash bytea := sha256(convert_to(key, 'UTF8'));
BEGIN
  -- As in cache/foreign_parts.rs. Not STRICT, because a call with null would then need no privilege.
  RETURN (get_byte(hash, 0) << 8 | get_byte(hash, 1)) & 1023;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_part(text) IS
  'Returns the part of a key, such as a tenant''s name: the first 16 bits of the SHA-256 of its UTF-8 bytes, modulo 1024. The same on every server, in every version and in the client. Null for null.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_part(text) FROM PUBLIC;

CREATE FUNCTION workflow.default_part(key text) RETURNS int
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_default_part_wrapper';
COMMENT ON FUNCTION workflow.default_part(text) IS
  'Returns the part for a start without one, among the first pg_workflow.default_parts: determined by the key or, if that is null, any of this server''s.';
REVOKE ALL ON FUNCTION workflow.default_part(text) FROM PUBLIC;

CREATE FUNCTION workflow.require_part(part int) RETURNS void
LANGUAGE c STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_require_part_wrapper';
COMMENT ON FUNCTION workflow.require_part(int) IS
  'Raises WF622 if a part does not belong to this server, and otherwise keeps it from being fenced until the end of the transaction; null passes.';
REVOKE ALL ON FUNCTION workflow.require_part(int) FROM PUBLIC;

CREATE FUNCTION workflow.foreign_parts() RETURNS int[]
LANGUAGE c STABLE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_foreign_parts_wrapper';
COMMENT ON FUNCTION workflow.foreign_parts() IS
  'Returns the parts that do not belong to this server, and keeps all others from being fenced until the end of the transaction.';
REVOKE ALL ON FUNCTION workflow.foreign_parts() FROM PUBLIC;

CREATE FUNCTION workflow.await_calls() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_await_calls_wrapper';
COMMENT ON FUNCTION workflow.await_calls() IS
  'Waits for all transactions that have called a function of the engine and may not have seen the last change of workflow.foreign_part. Blocks no other session. Raises WF611 in a transaction with an old snapshot.';
REVOKE ALL ON FUNCTION workflow.await_calls() FROM PUBLIC;

CREATE FUNCTION workflow.has_rows(part int) RETURNS boolean
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  first bigint := has_rows.part::bigint << 48;
BEGIN
  RETURN EXISTS (SELECT FROM workflow.execution e WHERE e.id BETWEEN first AND first | 281474976710655)
    OR EXISTS (SELECT FROM workflow.lease l WHERE l.part = has_rows.part)
    OR EXISTS (SELECT FROM workflow.schedule s WHERE s.part = has_rows.part);
END $$;
COMMENT ON FUNCTION workflow.has_rows(int) IS 'Whether this database has rows of a part, regardless of which server the part belongs to.';
REVOKE ALL ON FUNCTION workflow.has_rows(int) FROM PUBLIC;

CREATE FUNCTION workflow.read_parts(parts text) RETURNS int[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  range text;
  ends int[];
  all_parts int[] := '{}';
BEGIN
  FOREACH range IN ARRAY coalesce(string_to_array(nullif(btrim(parts), ''), ','), '{}') LOOP
    ends := string_to_array(substring(btrim(range) FROM '^([0-9]{1,4}|[0-9]{1,4}-[0-9]{1,4})$'), '-')::int[];
    IF ends IS NULL OR ends[1] > 1023 OR ends[2] NOT BETWEEN ends[1] AND 1023 THEN
      PERFORM workflow.raise_error('WF613', 'parts is malformed', format('%s is neither a part nor a range of parts.', quote_literal(left(range, 100))),
        'List parts from 0 to 1023 and ranges of them, such as 0-127,300.');
    END IF;
    all_parts := all_parts || ARRAY(SELECT generate_series(ends[1], coalesce(ends[2], ends[1])));
  END LOOP;
  RETURN ARRAY(SELECT DISTINCT p.part FROM unnest(all_parts) AS p(part) ORDER BY p.part);
END $$;
COMMENT ON FUNCTION workflow.read_parts(text) IS
  'Returns parts given as numbers and ranges (0-127,300), in order. Raises WF613 for any other text.';
REVOKE ALL ON FUNCTION workflow.read_parts(text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_parts() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN (
    WITH own AS (
      SELECT p.part, p.part - row_number() OVER (ORDER BY p.part) AS island FROM generate_series(0, 1023) AS p(part)
      WHERE NOT EXISTS (SELECT FROM workflow.foreign_part f WHERE f.part = p.part)),
    range AS (SELECT min(o.part) AS first, max(o.part) AS last FROM own o GROUP BY o.island)
    SELECT coalesce(string_agg(CASE WHEN r.first = r.last THEN r.first::text ELSE format('%s-%s', r.first, r.last) END, ',' ORDER BY r.first), '')
    FROM range r);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_parts() IS
  'Returns the parts whose work this server does, as numbers and ranges (0-127,300). Parts that are moving are not included, on either server.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_parts() FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_find_part(part int) RETURNS TABLE (status text, server text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_variable
BEGIN
  PERFORM workflow.require('part', part);
  IF part NOT BETWEEN 0 AND 1023 THEN
    PERFORM workflow.raise_error('WF613', 'part is out of range', format('part is %s.', part), 'Use 0 to 1023.');
  END IF;
  RETURN QUERY SELECT coalesce(f.status, 'here'), f.server
    FROM (SELECT) AS one LEFT JOIN workflow.foreign_part AS f ON f.part = part;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_find_part(int) IS
  'Returns where a part is from this server''s point of view (here, leaving, arriving or elsewhere), and the name of the other server, if known. Errors: WF613.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_find_part(int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_set_parts(parts text DEFAULT '0-1023') RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  now timestamptz := workflow.now();
  own int[];
  wrong int;
BEGIN
  PERFORM workflow.require('parts', parts);
  own := workflow.read_parts(parts);
  -- Waits for every call in progress, and blocks all others until the parts are set.
  LOCK TABLE workflow.foreign_part IN SHARE ROW EXCLUSIVE MODE;
  SELECT f.part INTO wrong FROM workflow.foreign_part f WHERE f.part = ANY (own) AND f.status <> 'elsewhere' ORDER BY f.part LIMIT 1;
  IF FOUND THEN
    PERFORM workflow.raise_error('WF611', format('part %s is moving', wrong), NULL, 'Finish the move, or abort it.');
  END IF;
  SELECT f.part INTO wrong FROM workflow.foreign_part f WHERE f.part = ANY (own) AND workflow.has_rows(f.part) ORDER BY f.part LIMIT 1;
  IF FOUND THEN
    PERFORM workflow.raise_error('WF611', format('part %s has rows here from before it moved', wrong), 'Another server may have changed them since.',
      format('If another server has the part, call workflow_clear_part(%s) until it returns 0.', wrong));
  END IF;
  DELETE FROM workflow.foreign_part f WHERE f.part = ANY (own);
  INSERT INTO workflow.foreign_part (part, status, created, updated)
  SELECT p.part, 'elsewhere', now, now FROM generate_series(0, 1023) AS p(part) WHERE p.part <> ALL (own)
  ON CONFLICT DO NOTHING;
  SELECT f.part INTO wrong FROM workflow.foreign_part f WHERE f.status = 'elsewhere' AND f.created = now AND workflow.has_rows(f.part)
  ORDER BY f.part LIMIT 1;
  IF FOUND THEN
    PERFORM workflow.raise_error('WF611', format('part %s has rows here', wrong), NULL, 'Move the part with pg-workflow move-part, or keep it on this server.');
  END IF;
  RETURN pg_catalog.workflow_find_parts();
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_set_parts(text) IS
  'Sets the parts whose work this server does, as numbers and ranges (0-127,300), and returns them. Calls about other parts are refused with WF622. For setting up a server; to move a part that is in use, run pg-workflow move-part. Errors: WF611 if a part that is given up has rows, or if a part that is taken is moving or still has rows; WF613 for null or malformed text.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_set_parts(text) FROM PUBLIC;
