-- Access control: levels of privileges for existing roles. The extension creates no roles.
--
--   worker     claims, sends heartbeats, reports and ticks
--   reader     sees everything
--   operator   a reader who also starts, schedules, controls and prunes executions
--   author     an operator who also defines workflows, registers actions, and writes through the data layer
--
-- The functions of the worker level run with the owner's privileges (extension/src/caller.rs explains how), and a worker has no privilege
-- on any table. All other functions run with the caller's privileges: an operator may write the tables that have a part
-- (schedules, and those that grow with work), an author all of them.
--
-- A level is a list of privileges derived from the catalogs (workflow.privileges_of): the catalogs are the record of what was
-- granted, and a dump includes it. A function belongs to the level that workflow.level_of returns; without one, it is for the
-- owner only.
--
-- The only thing stored in addition is the parts that a worker is bound to (workflow.worker_parts), because PostgreSQL has no
-- such privilege. It is dumped, too, and refers to roles the way PostgreSQL's own catalogs do, so it survives a rename.

CREATE FUNCTION workflow.level_of(function_name name) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN CASE
    -- The API.
    WHEN function_name IN ('workflow_claim', 'workflow_heartbeat', 'workflow_complete', 'workflow_fail', 'workflow_finish',
      'workflow_finish_and_claim', 'workflow_finish_json', 'workflow_finish_and_claim_json', 'workflow_tick', 'workflow_announce_idle') THEN 'worker'
    -- Used by the two functions in JSON.
    WHEN function_name IN ('check_outcomes', 'flaw_of', 'interval_of', 'read_outcomes', 'write_answers') THEN 'worker'
    WHEN function_name ~ '^workflow_(find|list)_' THEN 'reader'
    WHEN function_name IN ('workflow_status', 'workflow_status_by_key', 'workflow_search', 'workflow_wait', 'workflow_why', 'workflow_tree', 'workflow_count_tasks', 'workflow_graph', 'workflow_timeline',
      'workflow_check', 'workflow_validate', 'workflow_test', 'workflow_part') THEN 'reader'
    WHEN function_name IN ('workflow_start', 'workflow_start_many', 'workflow_set_attributes', 'workflow_pause', 'workflow_resume', 'workflow_cancel',
      'workflow_rerun', 'workflow_resolve', 'workflow_signal', 'workflow_signal_by_key', 'workflow_pause_by_key', 'workflow_resume_by_key',
      'workflow_cancel_by_key', 'workflow_rerun_by_key', 'workflow_extend_wait', 'workflow_prune', 'workflow_erase', 'workflow_apply', 'workflow_stop_bulk_job',
      'workflow_resume_bulk_job', 'workflow_set_limit', 'workflow_set_weight', 'workflow_delete_limit', 'workflow_hold', 'workflow_release', 'workflow_schedule', 'workflow_unschedule',
      'workflow_pause_schedule', 'workflow_resume_schedule', 'workflow_start_from_row', 'workflow_archive_to') THEN 'operator'
    WHEN function_name ~ '^workflow_(pause|resume|cancel|rerun|signal|prune)_many$' THEN 'operator'
    WHEN function_name ~ '^workflow_(create|update|delete)_' THEN 'author'
    WHEN function_name IN ('workflow_define', 'workflow_register_action', 'workflow_link_action', 'workflow_on_end', 'workflow_remove_hook') THEN 'author'
    -- Helpers in schema workflow. API functions that run with the caller's privileges need them; they compute, read and raise
    -- errors, and write nothing.
    WHEN function_name IN ('search', 'half_open', 'require_key', 'now', 'page_size', 'require', 'require_run', 'require_part', 'foreign_parts', 'default_part', 'make_id', 'raise_error', 'raise_lost', 'raise_missing', 'check_wait',
      'check_format', 'closing_tasks', 'is_end', 'live_lists', 'readable', 'task_lists', 'task_summary', 'task_created', 'recent_tasks', 'recent_executions', 'count_executions', 'count_limited', 'execution_shares', 'overdue_rows', 'diagram', 'gantt',
      'say_closed', 'say_hold', 'say_undone', 'say_not_rerun', 'say_rerun', 'say_error', 'say_time', 'last_claim', 'why_calling', 'why_ended', 'why_items', 'why_joins', 'why_late', 'why_limited', 'why_waiting', 'slot_execution', 'is_cancelled_by_others', 'is_ended_from_above', 'waits_in_deadlock', 'is_worker_first', 'find_deadlock', 'say_deadlock', 'why_held', 'limit_hold', 'limit_opens_at', 'fair_hash',
      'why_queued', 'why_rows', 'why_running', 'why_task', 'why_whole') THEN 'reader'
    -- Bulk operations, with the caller's privileges. add_bulk_job and set_bulk_job_status run with the owner's, and store or check the
    -- calling role.
    WHEN function_name IN ('lock_executions', 'control_locked', 'rerun_locked', 'prune_each', 'do_each', 'answer_each', 'bulk_step', 'search_by',
      'check_keys', 'check_apply', 'add_bulk_job', 'set_bulk_job_status', 'try_lock_family') THEN 'operator'
    WHEN function_name IN ('add_errors', 'author_of', 'is_in_progress_elsewhere', 'name_caller', 'check_attributes', 'check_key', 'check_start', 'check_parameters', 'check_schedule', 'check_prune', 'check_hold', 'check_limit_name', 'wake_limit_keys', 'request_limit_checks', 'next_due',
      'run_hooks', 'start_by_hook', 'archive_executions', 'delete_executions') THEN 'operator'
    -- An author may write the tables of definitions directly, so these give no additional power.
    WHEN function_name IN ('define', 'plan_retention', 'plan_concurrency', 'store_definition', 'upsert_pack') THEN 'author'
    WHEN function_name IN ('check_hook', 'check_patch', 'fits', 'owns_execution', 'settle_part', 'settle_task', 'raise_owned', 'raise_taken',
      'require_action', 'require_count', 'require_definition', 'require_execution', 'require_limits', 'check_limits', 'require_outside', 'require_own_task',
      'require_pack', 'require_ref', 'require_task', 'require_time', 'require_text_array', 'require_worker') THEN 'author'
    -- Everything else relies on preconditions that only its callers ensure, and is called with the owner's privileges.
    END;
END $$;
COMMENT ON FUNCTION workflow.level_of(name) IS
  'Returns the lowest level whose roles may call the function of the extension with the given name, or null if only the owner may.';
REVOKE ALL ON FUNCTION workflow.level_of(name) FROM PUBLIC;

CREATE FUNCTION workflow.privileges_of(level text) RETURNS TABLE (privilege text, object text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 200 SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  -- The levels that it includes, itself among them.
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
    FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
    WHERE c.oid <> ALL ('{workflow.worker_parts, workflow.archive}'::regclass[]))
  SELECT 'EXECUTE', format('FUNCTION %s', p.oid::regprocedure) FROM pg_proc p
  JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
  WHERE workflow.level_of(p.proname) = ANY (contained)
  UNION ALL
  SELECT 'SELECT', format('TABLE %s', r.oid::regclass) FROM relation r WHERE r.relkind IN ('r', 'v') AND 'reader' = ANY (contained)
  UNION ALL
  -- Only the owner writes foreign_part, and bulk_job, whose steps switch to the role stored there.
  SELECT 'INSERT, UPDATE, DELETE', format('TABLE %s', r.oid::regclass) FROM relation r
  WHERE r.relkind = 'r' AND r.oid <> ALL ('{workflow.bulk_job, workflow.foreign_part}'::regclass[]) AND ('author' = ANY (contained) OR 'operator' = ANY (contained) AND r.has_part)
  UNION ALL
  SELECT 'USAGE', format('SEQUENCE %s', r.oid::regclass) FROM relation r WHERE r.relkind = 'S' AND 'operator' = ANY (contained);
END $$;
COMMENT ON FUNCTION workflow.privileges_of(text) IS
  'Returns the privileges of a level other than USAGE on the schema, each with its object, both as GRANT takes them.';
REVOKE ALL ON FUNCTION workflow.privileges_of(text) FROM PUBLIC;

CREATE FUNCTION workflow.check_grant(role name, level text, parts int[]) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('role', role);
  PERFORM workflow.require('level', level);
  PERFORM workflow.check_parts(parts);
  IF level NOT IN ('worker', 'reader', 'operator', 'author') THEN
    PERFORM workflow.raise_error('WF613', 'unknown level', format('level is %s.', quote_literal(left(level, 100))),
      'Use worker, reader, operator or author.');
  ELSIF parts IS NOT NULL AND level <> 'worker' THEN
    PERFORM workflow.raise_error('WF613', 'only the worker level can be bound to parts', format('level is %s.', level),
      'Omit parts, and use row-level security to bind other levels to parts.');
  ELSIF parts = '{}' THEN
    PERFORM workflow.raise_error('WF613', 'parts must not be empty', NULL, 'Pass at least one part, or revoke the level with workflow_revoke.');
  ELSIF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = check_grant.role) THEN
    PERFORM workflow.raise_error('WF616', format('there is no role %s', quote_ident(role)), NULL, 'Create it first with CREATE ROLE.');
  ELSIF EXISTS (SELECT FROM pg_extension e WHERE e.extname = 'pg_workflow' AND pg_get_userbyid(e.extowner) = check_grant.role) THEN
    PERFORM workflow.raise_error('WF613', format('role %s owns the extension', quote_ident(role)), NULL, 'Choose another role: the owner already has all privileges.');
  END IF;
END $$;
COMMENT ON FUNCTION workflow.check_grant(name, text, int[]) IS
  'Raises WF613 or WF616 if a level cannot be granted to a role: either is null or unknown, the role is the owner, or the level cannot be bound to these parts.';
REVOKE ALL ON FUNCTION workflow.check_grant(name, text, int[]) FROM PUBLIC;

CREATE FUNCTION workflow.lock_grants() RETURNS void
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_lock_grants_wrapper';
COMMENT ON FUNCTION workflow.lock_grants() IS
  'Serializes transactions that grant and revoke levels, because two at once would fail on the same catalog row. No SQL can take this lock.';
REVOKE ALL ON FUNCTION workflow.lock_grants() FROM PUBLIC;

CREATE FUNCTION workflow.forget_worker_parts() RETURNS trigger
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_forget_worker_parts_wrapper';
COMMENT ON FUNCTION workflow.forget_worker_parts() IS
  'Trigger of workflow.worker_parts: makes every session discard its cached bindings of workers to parts at commit.';
REVOKE ALL ON FUNCTION workflow.forget_worker_parts() FROM PUBLIC;
CREATE TRIGGER forget_worker_parts AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON workflow.worker_parts
FOR EACH STATEMENT EXECUTE FUNCTION workflow.forget_worker_parts();
ALTER TABLE workflow.worker_parts ENABLE ALWAYS TRIGGER forget_worker_parts;

CREATE FUNCTION workflow.bind_worker(role name, parts int[]) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  now timestamptz := workflow.now();
  worker regrole := quote_ident(bind_worker.role)::regrole;
  bound int[] := ARRAY(SELECT DISTINCT p.part FROM unnest(bind_worker.parts) AS p(part) ORDER BY p.part);
BEGIN
  -- A dropped role leaves its row behind.
  DELETE FROM workflow.worker_parts w
  WHERE w.role = worker AND bound = '{}' OR NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = w.role);
  INSERT INTO workflow.worker_parts AS w (role, parts, created, updated)
  SELECT worker, bound, now, now WHERE bound <> '{}'
  ON CONFLICT (role) DO UPDATE SET parts = excluded.parts, updated = excluded.updated WHERE w.parts <> excluded.parts;
END $$;
COMMENT ON FUNCTION workflow.bind_worker(name, int[]) IS
  'Binds a role to parts, replacing those it was bound to; null or an empty array removes the binding. Also removes roles that no longer exist.';
REVOKE ALL ON FUNCTION workflow.bind_worker(name, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_grant(role name, level text, parts int[] DEFAULT NULL) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p record;
BEGIN
  PERFORM workflow.check_grant(role, level, parts);
  PERFORM workflow.lock_grants();
  -- First, so that the role never has more access than it will have in the end.
  IF parts IS NOT NULL THEN
    PERFORM workflow.bind_worker(role, parts);
  END IF;
  EXECUTE format('GRANT USAGE ON SCHEMA workflow TO %I', role);
  FOR p IN SELECT * FROM workflow.privileges_of(level) LOOP
    EXECUTE format('GRANT %s ON %s TO %I', p.privilege, p.object, role);
  END LOOP;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_grant(name, text, int[]) IS
  'Grants a role the privileges of a level. worker: claim, send heartbeats, report and tick, without privileges on any table. reader: see everything. operator: additionally start, schedule, control and prune executions. author: additionally define workflows, register actions and write through the data layer. parts, for worker only: binds the role, and all roles that have its privileges, to the tasks and schedules of these parts, replacing an earlier binding; null leaves the binding as it is. Granting a level again changes nothing else; after an update of the extension, it adds new privileges. For the owner of the extension. Errors: WF613 for null, an unknown level, the owner''s own role, or parts that are out of range, empty, or given for another level; WF616 if there is no such role.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_grant(name, text, int[]) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_revoke(role name, level text) RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  p record;
BEGIN
  PERFORM workflow.check_grant(role, level, NULL);
  PERFORM workflow.lock_grants();
  FOR p IN SELECT * FROM workflow.privileges_of(level) LOOP
    EXECUTE format('REVOKE %s ON %s FROM %I', p.privilege, p.object, role);
  END LOOP;
  -- All levels share the schema: its USAGE is revoked with the last privilege.
  IF NOT EXISTS (
    SELECT FROM pg_depend d
    JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    LEFT JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
    LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    CROSS JOIN LATERAL aclexplode(coalesce(f.proacl, c.relacl)) AS granted
    WHERE e.extname = 'pg_workflow' AND d.deptype = 'e' AND pg_get_userbyid(granted.grantee) = workflow_revoke.role) THEN
    EXECUTE format('REVOKE USAGE ON SCHEMA workflow FROM %I', role);
  END IF;
  IF level = 'worker' THEN
    PERFORM workflow.bind_worker(role, NULL);
  END IF;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_revoke(name, text) IS
  'Revokes from a role exactly what workflow_grant granted for that level; for operator and author, that includes the lower levels. Privileges that another level needs and that were not granted for this one are kept. Revoking worker also removes the binding to parts. Revoking a level that was not granted changes nothing. For the owner of the extension. Errors: as workflow_grant.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_revoke(name, text) FROM PUBLIC;
