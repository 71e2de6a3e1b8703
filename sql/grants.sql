-- Who may do what: levels of privileges for roles that exist. The extension makes no roles.
--
--   worker     claims, heartbeats, reports and ticks
--   reader     sees everything
--   operator   is a reader who starts, schedules, controls and prunes executions
--   author     is an operator who defines workflows, registers actions, and writes through the data layer
--
-- A worker's functions run with the owner's rights, and a worker has no right on any table. All others run with the
-- caller's: an operator writes the tables that have a part (schedules, and what grows with work), an author all.
--
-- A level is a list of privileges read from the catalogs (workflow.privileges_of), and nothing else is kept anywhere:
-- what was granted is what the catalogs say, and goes with a dump. A function of the API belongs to the level that
-- workflow.level_of says, by its name; one that has none is for the owner alone.

CREATE FUNCTION workflow.level_of(function_name name) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN CASE
    WHEN function_name IN ('workflow_claim', 'workflow_heartbeat', 'workflow_complete', 'workflow_fail', 'workflow_finish',
      'workflow_finish_and_claim', 'workflow_tick') THEN 'worker'
    WHEN function_name ~ '^workflow_(find|list)_' THEN 'reader'
    WHEN function_name IN ('workflow_status', 'workflow_wait', 'workflow_why', 'workflow_tree', 'workflow_graph', 'workflow_timeline',
      'workflow_check', 'workflow_validate') THEN 'reader'
    WHEN function_name IN ('workflow_start', 'workflow_start_many', 'workflow_pause', 'workflow_resume', 'workflow_cancel',
      'workflow_rerun', 'workflow_signal', 'workflow_prune', 'workflow_schedule', 'workflow_unschedule',
      'workflow_pause_schedule', 'workflow_resume_schedule') THEN 'operator'
    WHEN function_name ~ '^workflow_(create|update|delete)_' THEN 'author'
    WHEN function_name IN ('workflow_define', 'workflow_register_action', 'workflow_link_action') THEN 'author' END;
END $$;
COMMENT ON FUNCTION workflow.level_of(name) IS
  'The lowest level whose roles may call a function of the API, by its name; null: its owner alone may.';
REVOKE ALL ON FUNCTION workflow.level_of(name) FROM PUBLIC;

CREATE FUNCTION workflow.privileges_of(level text) RETURNS TABLE (privilege text, object text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 200 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  -- The levels that it contains, itself included.
  contained text[] := CASE privileges_of.level WHEN 'worker' THEN '{worker}' WHEN 'reader' THEN '{reader}'
    WHEN 'operator' THEN '{reader,operator}' WHEN 'author' THEN '{reader,operator,author}' END;
BEGIN
  RETURN QUERY
  WITH member AS (
    SELECT d.classid, d.objid FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE e.extname = 'pg_workflow' AND d.deptype = 'e'),
  relation AS (
    SELECT c.oid, c.relkind, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'part') AS has_part
    FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid)
  SELECT 'EXECUTE', format('FUNCTION %s', p.oid::regprocedure) FROM pg_proc p
  JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
  -- What the API is made of is in the schema workflow and runs with the caller's rights: a worker's calls are the owner's
  -- by then, so that only those who read need it.
  WHERE CASE p.pronamespace WHEN 'pg_catalog'::regnamespace THEN workflow.level_of(p.proname) ELSE 'reader' END = ANY (contained)
  UNION ALL
  SELECT 'SELECT', format('TABLE %s', r.oid::regclass) FROM relation r WHERE r.relkind IN ('r', 'v') AND 'reader' = ANY (contained)
  UNION ALL
  SELECT 'INSERT, UPDATE, DELETE', format('TABLE %s', r.oid::regclass) FROM relation r
  WHERE r.relkind = 'r' AND ('author' = ANY (contained) OR 'operator' = ANY (contained) AND r.has_part)
  UNION ALL
  SELECT 'USAGE', format('SEQUENCE %s', r.oid::regclass) FROM relation r WHERE r.relkind = 'S' AND 'operator' = ANY (contained);
END $$;
COMMENT ON FUNCTION workflow.privileges_of(text) IS
  'What a level may do, beside USAGE of the schema: privileges, and the object they are on, both as GRANT takes them.';
REVOKE ALL ON FUNCTION workflow.privileges_of(text) FROM PUBLIC;

CREATE FUNCTION workflow.check_grant(role name, level text) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('role', role);
  PERFORM workflow.require('level', level);
  IF level NOT IN ('worker', 'reader', 'operator', 'author') THEN
    PERFORM workflow.raise_error('WF613', 'there is no such level', format('level is %s', quote_literal(left(level, 100))),
      'give worker, reader, operator or author');
  ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = check_grant.role) THEN
    PERFORM workflow.raise_error('WF616', 'there is no such role', format('role is %s', role), 'make it first, by CREATE ROLE');
  ELSIF EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_workflow' AND pg_get_userbyid(e.extowner) = check_grant.role) THEN
    PERFORM workflow.raise_error('WF613', 'the role owns the extension', format('role is %s', role), 'give another role: the owner may do everything');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_grant(name, text) IS
  'Raises WF613 or WF616 where a level cannot be granted to a role: either is null or unknown, or the role is the owner.';
REVOKE ALL ON FUNCTION workflow.check_grant(name, text) FROM PUBLIC;

CREATE FUNCTION workflow.lock_grants() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_lock_grants_wrapper';
COMMENT ON FUNCTION workflow.lock_grants() IS
  'Lets one transaction at a time grant and revoke levels: two would fail over the same row of a catalog. The lock is one that no SQL can take.';
REVOKE ALL ON FUNCTION workflow.lock_grants() FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_grant(role name, level text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p record;
BEGIN
  PERFORM workflow.check_grant(role, level);
  PERFORM workflow.lock_grants();
  EXECUTE format('GRANT USAGE ON SCHEMA workflow TO %I', role);
  FOR p IN SELECT * FROM workflow.privileges_of(level) LOOP
    EXECUTE format('GRANT %s ON %s TO %I', p.privilege, p.object, role);
  END LOOP;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_grant(name, text) IS
  'Lets a role do what a level may. worker: claim, heartbeat, report and tick, without a right on any table; reader: see everything; operator: what a reader may, and start, schedule, control and prune executions; author: what an operator may, and define workflows, register actions and write through the data layer. Granting again changes nothing; after an update of the extension it adds what is new. For the owner of the extension. Errors: WF613 for null, an unknown level, and the owner''s own role; WF616 where there is no such role.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_grant(name, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_revoke(role name, level text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p record;
BEGIN
  PERFORM workflow.check_grant(role, level);
  PERFORM workflow.lock_grants();
  FOR p IN SELECT * FROM workflow.privileges_of(level) LOOP
    EXECUTE format('REVOKE %s ON %s FROM %I', p.privilege, p.object, role);
  END LOOP;
  -- The schema is shared by all levels: it goes with the last privilege.
  IF NOT EXISTS (
    SELECT FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    LEFT JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
    LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    CROSS JOIN LATERAL aclexplode(coalesce(f.proacl, c.relacl)) AS granted
    WHERE e.extname = 'pg_workflow' AND d.deptype = 'e' AND pg_get_userbyid(granted.grantee) = workflow_revoke.role) THEN
    EXECUTE format('REVOKE USAGE ON SCHEMA workflow FROM %I', role);
  END IF;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_revoke(name, text) IS
  'Takes from a role exactly what workflow_grant gave it for that level: for operator and author what the levels below may, too. What another level needs and was not granted for this one stays. Revoking what was not granted changes nothing. For the owner of the extension. Errors as workflow_grant.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_revoke(name, text) FROM PUBLIC;
