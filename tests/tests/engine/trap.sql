-- A schema that shadows what pg_catalog and workflow have: functions, operators, types, tables. Whatever of it is called says so
-- in the server's log, which no rollback takes back, and fails. To be run as the owner of a database, who is no superuser.
SET search_path = pg_catalog;
CREATE SCHEMA trap;
GRANT USAGE ON SCHEMA trap TO PUBLIC;

CREATE FUNCTION trap.springs(what text) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  RAISE LOG 'trapped: % as %', what, current_user;
  RAISE EXCEPTION 'trapped: % as %', what, current_user;
END $$;

-- The arguments as a function of ours can declare them.
CREATE FUNCTION trap.declarable(types oidvector, variadic_type oid) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT coalesce(string_agg(CASE WHEN t.type <> '"any"'::regtype THEN format_type(t.type, NULL)
      WHEN variadic_type <> 0 THEN 'VARIADIC anyarray' ELSE 'anyelement' END, ', ' ORDER BY t.place), '')
  FROM unnest(types::oid[]) WITH ORDINALITY AS t(type, place)
$$;

-- Makes one, unless it has a type that no function of ours can have.
CREATE FUNCTION trap.try(statement text) RETURNS int LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  EXECUTE statement;
  RETURN 1;
EXCEPTION WHEN OTHERS THEN
  RETURN 0;
END $$;

CREATE FUNCTION trap.body(what text) RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT format('LANGUAGE plpgsql SET search_path = pg_catalog AS %L', format('BEGIN PERFORM trap.springs(%L); RETURN; END', what))
$$;

CREATE TABLE trap.made AS
SELECT 'function' AS kind, sum(trap.try(format('CREATE FUNCTION trap.%I(%s) RETURNS SETOF %s %s', p.proname,
    trap.declarable(p.proargtypes, p.provariadic), format_type(p.prorettype, NULL), trap.body('function ' || p.oid::regprocedure)))) AS count
FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace
UNION ALL
SELECT 'operator', sum(trap.try(format('CREATE FUNCTION trap.operator_%s(%s) RETURNS %s LANGUAGE plpgsql SET search_path = pg_catalog AS %L',
      o.oid, concat_ws(', ', nullif(format_type(nullif(o.oprleft, 0), NULL), ''), format_type(o.oprright, NULL)), format_type(o.oprresult, NULL),
      format('BEGIN PERFORM trap.springs(%L); END', 'operator ' || o.oid::regoperator)))
    * trap.try(format('CREATE OPERATOR trap.%s (%s RIGHTARG = %s, FUNCTION = trap.operator_%s)', o.oprname,
      CASE WHEN o.oprleft <> 0 THEN format('LEFTARG = %s,', format_type(o.oprleft, NULL)) END, format_type(o.oprright, NULL), o.oid)))
FROM pg_operator o WHERE o.oprnamespace = 'pg_catalog'::regnamespace
UNION ALL
SELECT 'type', sum(trap.try(format('CREATE DOMAIN trap.%I AS pg_catalog.%1$I CHECK (trap.springs(%L))', t.typname, 'type ' || t.typname)))
FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype = 'b' AND t.typelem = 0
UNION ALL
SELECT 'table', sum(trap.try(format('CREATE VIEW trap.%I AS SELECT * FROM %s WHERE trap.springs(%L)', c.relname, c.oid::regclass,
    'table ' || c.relname)))
FROM pg_class c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind IN ('r', 'v')
UNION ALL
SELECT 'table of ours', sum(trap.try(format('CREATE VIEW trap.%I AS SELECT trap.springs(%L) AS id', name, 'table ' || name)))
FROM unnest(ARRAY['pack', 'action', 'workflow_definition', 'workflow_definition_version', 'execution', 'workflow_execution',
  'workflow_task_execution', 'event', 'lease', 'signal', 'schedule', 'rows']) AS name;

-- A type of ours that turns into anything by itself.
CREATE TYPE trap.anything AS ENUM ('x');
CREATE FUNCTION trap.to_text(trap.anything) RETURNS pg_catalog.text LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN PERFORM trap.springs('cast to text'); RETURN ''; END $$;
CREATE CAST (trap.anything AS pg_catalog.text) WITH FUNCTION trap.to_text(trap.anything) AS IMPLICIT;

GRANT SELECT ON ALL TABLES IN SCHEMA trap TO PUBLIC;
RESET search_path;
