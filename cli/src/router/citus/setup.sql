DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus') THEN
    RAISE EXCEPTION 'Citus is not installed in this database' USING HINT = 'Run this on the coordinator of a Citus cluster whose nodes are the servers.';
  ELSIF (SELECT l.groupid FROM pg_catalog.pg_dist_local_group AS l) <> 0 THEN
    RAISE EXCEPTION 'this is not the coordinator of its Citus cluster' USING HINT = 'Run this on the coordinator.';
  END IF;
END $do$;

-- Drops the functions on nodes that another version has left, along with the table that they follow.
CREATE OR REPLACE FUNCTION pg_temp.drop_other_nodes(wanted text) RETURNS void LANGUAGE plpgsql AS $do$
BEGIN
  IF pg_catalog.to_regnamespace('workflow_node') IS NOT NULL
    AND NOT EXISTS (SELECT FROM workflow_router.version AS v WHERE v.api = wanted) THEN
    DROP EVENT TRIGGER IF EXISTS workflow_node_stays;
    SET LOCAL citus.enable_ddl_propagation = on;
    DROP SCHEMA workflow_node CASCADE;
    SET LOCAL citus.enable_ddl_propagation = off;
  END IF;
END $do$;

-- Creates a table with one shard on each node. It stays empty: its shards determine which number leads to which node.
CREATE OR REPLACE FUNCTION pg_temp.create_place() RETURNS void LANGUAGE plpgsql AS $do$
BEGIN
  IF pg_catalog.to_regclass('workflow_node.place') IS NOT NULL THEN
    RETURN;
  END IF;
  SET LOCAL citus.enable_ddl_propagation = on;
  CREATE SCHEMA IF NOT EXISTS workflow_node;
  GRANT USAGE ON SCHEMA workflow_node TO PUBLIC;
  COMMENT ON SCHEMA workflow_node IS 'Functions of the router by Citus that the nodes carry out.';
  CREATE TABLE workflow_node.place (server int NOT NULL);
  PERFORM pg_catalog.create_distributed_table('workflow_node.place', 'server', colocate_with => 'none', shard_count => (
    SELECT pg_catalog.count(*)::int FROM pg_catalog.pg_dist_node AS n WHERE n.noderole = 'primary' AND n.isactive AND n.shouldhaveshards));
  SET LOCAL citus.enable_ddl_propagation = off;
END $do$;

-- Lets Citus delegate the new functions.
CREATE OR REPLACE FUNCTION pg_temp.distribute() RETURNS void LANGUAGE plpgsql AS $do$
DECLARE
  function record;
BEGIN
  SET LOCAL citus.enable_ddl_propagation = on;
  FOR function IN
    SELECT p.oid::pg_catalog.regprocedure AS name, 'to_server' = ANY (p.proargnames) AS is_delegated
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'workflow_node'::pg_catalog.regnamespace AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_dist_object AS o WHERE o.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND o.objid = p.oid)
    ORDER BY p.proname <> 'guard', p.proname
  LOOP
    IF function.is_delegated THEN
      PERFORM pg_catalog.create_distributed_function(function.name, 'to_server', colocate_with => 'workflow_node.place', force_delegation => true);
    ELSE
      PERFORM pg_catalog.create_distributed_function(function.name);
    END IF;
  END LOOP;
  SET LOCAL citus.enable_ddl_propagation = off;
END $do$;

-- Returns a number that leads to the node of a server, and that contains the node's number.
CREATE OR REPLACE FUNCTION pg_temp.number_of(node int, server text) RETURNS int LANGUAGE plpgsql AS $do$
DECLARE
  number int;
  places bigint[] := ARRAY(
    SELECT s.shardid FROM pg_catalog.run_command_on_workers($$SELECT coalesce(current_setting('pg_workflow.node', true), '0')$$) AS w
    JOIN pg_catalog.citus_shards AS s ON (s.nodename, s.nodeport) = (w.nodename, w.nodeport)
    WHERE s.table_name = 'workflow_node.place'::pg_catalog.regclass AND w.success AND w.result = number_of.node::text);
BEGIN
  IF places = '{}' THEN
    RAISE EXCEPTION 'no node of this Citus cluster is %', server
      USING DETAIL = format('No node that may have shards has pg_workflow.node = %s.', node), HINT = 'Add it with citus_add_node, or set pg_workflow.node there.';
  END IF;
  SELECT c.number INTO number FROM pg_catalog.generate_series(node, node + 256 * 100000, 256) AS c (number)
  WHERE pg_catalog.get_shard_id_for_distribution_column('workflow_node.place', c.number) = ANY (places) LIMIT 1;
  RETURN number;
END $do$;
