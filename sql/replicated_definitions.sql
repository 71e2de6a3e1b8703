-- Shared definitions: packs, actions, definitions and hooks are written on one server, the publisher, and the others follow by
-- logical replication, with the same ids.
--
-- The subscription alone shows that a table follows another server: nothing else is stored. PostgreSQL applies replicated rows
-- without statement-level triggers and foreign keys; here, row-level triggers that fire only for replicated rows do
-- their work.

CREATE FUNCTION pg_catalog.workflow_publish_definitions() RETURNS void
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('wal_level') <> 'logical' THEN
    PERFORM workflow.raise_error('WF611', 'this server cannot publish rows', format('wal_level is %s.', current_setting('wal_level')),
      'Set wal_level = logical in postgresql.conf and restart the server.');
  ELSIF NOT EXISTS (SELECT FROM pg_publication p WHERE p.pubname = 'pg_workflow_definitions') THEN
    CREATE PUBLICATION pg_workflow_definitions FOR TABLE
      workflow.pack, workflow.workflow_definition, workflow.workflow_definition_version, workflow.action, workflow.hook;
  END IF;
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_publish_definitions() IS
  'Publishes the packs, actions, definitions and hooks of this server, so that others can follow them (workflow_subscribe_definitions). Calling it again changes nothing. Error: WF611 if wal_level is not logical.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_publish_definitions() FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_subscribe_definitions(connection text) RETURNS text
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM workflow.require('connection', connection);
  IF EXISTS (SELECT FROM pg_subscription_rel r WHERE r.srrelid = 'workflow.pack'::regclass) THEN
    PERFORM workflow.raise_error('WF611', 'this server already follows the definitions of another one', NULL,
      'To follow another server, first run DROP SUBSCRIPTION pg_workflow_definitions.');
  ELSIF EXISTS (SELECT FROM workflow.pack) OR EXISTS (SELECT FROM workflow.hook) THEN
    PERFORM workflow.raise_error('WF611', 'this server has definitions of its own', NULL,
      'Subscribe before anything is defined on this server, and define everything on the publisher.');
  END IF;
  RETURN format('CREATE SUBSCRIPTION pg_workflow_definitions CONNECTION %L PUBLICATION pg_workflow_definitions WITH (slot_name = %L)',
    connection, format('pg_workflow_definitions_%s', workflow.make_id(0, 0) >> 40));
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_subscribe_definitions(text) IS
  'Returns a statement that, when run, makes this server follow the definitions of the server at connection, a libpq connection string. PostgreSQL does not allow a function to run it: in psql, end the call with \gexec instead of a semicolon. From then on, definitions cannot be changed on this server. Errors: WF611 if this server already follows another one or has definitions of its own; WF613 for null.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_subscribe_definitions(text) FROM PUBLIC;

CREATE FUNCTION workflow.refuse_definition() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_subscription_rel r WHERE r.srrelid = TG_RELID) THEN
    PERFORM workflow.raise_error('WF611', 'this server follows the definitions of another one', format('The table workflow.%s is replicated from there.', TG_TABLE_NAME),
      'Define workflows, actions, packs and hooks on the server that publishes them.');
  END IF;
  RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow.refuse_definition() IS
  'Trigger of the tables of definitions: on a server that follows another one, raises WF611 for every change that is not replicated from there.';
REVOKE ALL ON FUNCTION workflow.refuse_definition() FROM PUBLIC;
CREATE TRIGGER refuse_definition BEFORE INSERT OR UPDATE OR DELETE ON workflow.pack
FOR EACH STATEMENT EXECUTE FUNCTION workflow.refuse_definition();
CREATE TRIGGER refuse_definition BEFORE INSERT OR UPDATE OR DELETE ON workflow.action
FOR EACH STATEMENT EXECUTE FUNCTION workflow.refuse_definition();
CREATE TRIGGER refuse_definition BEFORE INSERT OR UPDATE OR DELETE ON workflow.workflow_definition
FOR EACH STATEMENT EXECUTE FUNCTION workflow.refuse_definition();
CREATE TRIGGER refuse_definition BEFORE INSERT OR UPDATE OR DELETE ON workflow.workflow_definition_version
FOR EACH STATEMENT EXECUTE FUNCTION workflow.refuse_definition();
CREATE TRIGGER refuse_definition BEFORE INSERT OR UPDATE OR DELETE ON workflow.hook
FOR EACH STATEMENT EXECUTE FUNCTION workflow.refuse_definition();

-- Invalidates what sessions have cached.
CREATE TRIGGER forget_replicated AFTER INSERT OR UPDATE OR DELETE ON workflow.action
FOR EACH ROW EXECUTE FUNCTION workflow.forget_actions();
ALTER TABLE workflow.action ENABLE REPLICA TRIGGER forget_replicated;
CREATE TRIGGER forget_replicated AFTER INSERT OR UPDATE OR DELETE ON workflow.workflow_definition_version
FOR EACH ROW EXECUTE FUNCTION workflow.forget_definitions();
ALTER TABLE workflow.workflow_definition_version ENABLE REPLICA TRIGGER forget_replicated;
CREATE TRIGGER forget_replicated AFTER INSERT OR UPDATE OR DELETE ON workflow.hook
FOR EACH ROW EXECUTE FUNCTION workflow.forget_hooks();
ALTER TABLE workflow.hook ENABLE REPLICA TRIGGER forget_replicated;

CREATE FUNCTION workflow.plan_replicated() RETURNS trigger
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM workflow.retention r WHERE r.workflow_def = OLD.id;
  ELSE
    PERFORM workflow.plan_retention(NEW.id, NEW.definition, workflow.now());
    PERFORM workflow.plan_concurrency(NEW.ref, (NEW.definition #>> '{concurrency,max}')::int, workflow.now());
  END IF;
  RETURN NULL;
END $$;
COMMENT ON FUNCTION workflow.plan_replicated() IS
  'Trigger of workflow.workflow_definition: applies the retention and the concurrency of a replicated definition on this server.';
REVOKE ALL ON FUNCTION workflow.plan_replicated() FROM PUBLIC;
CREATE TRIGGER plan_replicated AFTER INSERT OR UPDATE OR DELETE ON workflow.workflow_definition
FOR EACH ROW EXECUTE FUNCTION workflow.plan_replicated();
ALTER TABLE workflow.workflow_definition ENABLE REPLICA TRIGGER plan_replicated;
