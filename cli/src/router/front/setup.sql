DO $do$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_workflow') THEN
    RAISE EXCEPTION 'the extension pg_workflow is installed in this database' USING HINT = 'Create the router in a separate database, without the extension.';
  ELSIF pg_catalog.to_regnamespace('workflow') IS NOT NULL AND pg_catalog.to_regnamespace('workflow_router') IS NULL THEN
    RAISE EXCEPTION 'this database has a schema workflow that is not a router''s' USING HINT = 'Create the router in a separate database.';
  ELSIF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'the encoding of this database is not UTF8' USING HINT = 'Create the router''s database with ENCODING ''UTF8'' TEMPLATE template0.';
  END IF;
END $do$;

CREATE SCHEMA IF NOT EXISTS workflow;
CREATE SCHEMA IF NOT EXISTS workflow_router;
COMMENT ON SCHEMA workflow IS 'Types and views of pg_workflow, for calls that this router passes on.';
COMMENT ON SCHEMA workflow_router IS 'How calls of pg_workflow reach the servers that do the work.';

CREATE TABLE IF NOT EXISTS workflow_router.server (
  number int PRIMARY KEY,
  name text NOT NULL,
  is_publisher boolean NOT NULL
);
COMMENT ON TABLE workflow_router.server IS 'The servers, by the number that calls are sent to; one of them publishes the definitions.';
CREATE TABLE IF NOT EXISTS workflow_router.part (
  part int PRIMARY KEY,
  server int NOT NULL
);
COMMENT ON TABLE workflow_router.part IS 'Which server has each part. A row that is out of date costs a detour and is corrected: servers refuse parts that are not theirs.';
CREATE TABLE IF NOT EXISTS workflow_router.api (
  name text PRIMARY KEY,
  level text
);
COMMENT ON TABLE workflow_router.api IS 'The functions that are routed, and the lowest level whose roles may call each; NULL: only the owner may.';
CREATE TABLE IF NOT EXISTS workflow_router.granted (
  role name,
  level text,
  PRIMARY KEY (role, level)
);
COMMENT ON TABLE workflow_router.granted IS 'What workflow_grant has granted here, so that another version of this file can grant it again.';
CREATE TABLE IF NOT EXISTS workflow_router.version (
  api text NOT NULL
);
COMMENT ON TABLE workflow_router.version IS 'What this router was generated from.';

-- Drops the objects of another version of the API, whose functions may have other types. If anything else depends on them, this fails
-- with an error that names it.
CREATE OR REPLACE FUNCTION pg_temp.drop_other_api(wanted text) RETURNS void LANGUAGE plpgsql AS $do$
DECLARE
  statement text;
BEGIN
  IF EXISTS (SELECT FROM workflow_router.version AS v WHERE v.api = wanted) THEN
    RETURN;
  END IF;
  FOR statement IN
    SELECT s.statement FROM (
      SELECT 1, format('DROP VIEW %s', c.oid::regclass) FROM pg_class AS c WHERE c.relnamespace = 'workflow'::regnamespace AND c.relkind = 'v'
      UNION ALL
      SELECT 2, format('DROP FUNCTION %s', p.oid::regprocedure) FROM pg_proc AS p
      WHERE p.pronamespace = 'workflow_router'::regnamespace
        OR p.pronamespace = 'pg_catalog'::regnamespace AND p.proname IN (SELECT a.name FROM workflow_router.api AS a)
      UNION ALL
      SELECT CASE t.typtype WHEN 'c' THEN 3 ELSE 4 END, format('DROP TYPE %s', t.oid::regtype) FROM pg_type AS t
      LEFT JOIN pg_class AS c ON c.oid = t.typrelid
      WHERE t.typnamespace IN ('workflow'::regnamespace, 'workflow_router'::regnamespace) AND (t.typtype = 'e' OR c.relkind = 'c')
    ) AS s (place, statement) ORDER BY s.place
  LOOP
    EXECUTE statement;
  END LOOP;
  DELETE FROM workflow_router.api;
  DELETE FROM workflow_router.version;
  INSERT INTO workflow_router.version VALUES (wanted);
END $do$;

CREATE OR REPLACE FUNCTION pg_temp.create_type(name text, form text) RETURNS void LANGUAGE plpgsql AS $do$
BEGIN
  IF pg_catalog.to_regtype(name) IS NULL THEN
    EXECUTE pg_catalog.format('CREATE TYPE %s AS %s', name, form);
  END IF;
END $do$;
