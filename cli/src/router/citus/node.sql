CREATE OR REPLACE FUNCTION workflow_node.guard(server int) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE AS $$
DECLARE
  node int := pg_catalog.current_setting('pg_workflow.node', true);
BEGIN
  IF node IS NULL AND (SELECT g.groupid FROM pg_catalog.pg_dist_local_group AS g) <> 0 THEN
    -- The default, if the library has not been loaded yet.
    node := 0;
  END IF;
  IF server OPERATOR(pg_catalog.&) 255 OPERATOR(pg_catalog.=) node IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'WF611: Citus did not pass the call on to the right server',
      DETAIL = pg_catalog.format('It is meant for node %s, but this is %s.', server OPERATOR(pg_catalog.&) 255, coalesce('node ' OPERATOR(pg_catalog.||) node, 'the coordinator')),
      HINT = 'Call only functions in pg_catalog. If the table workflow_node.place has been moved, run the SQL of pg-workflow router citus again.';
  END IF;
END $$;
COMMENT ON FUNCTION workflow_node.guard(int) IS 'Refuses a call that is carried out by another node than the one whose number it has: nothing is done in the wrong place.';

CREATE OR REPLACE FUNCTION workflow_node.stay() RETURNS event_trigger
LANGUAGE plpgsql AS $$
DECLARE
  object text := (SELECT c.object_identity FROM pg_catalog.pg_event_trigger_ddl_commands() AS c
    WHERE pg_catalog.starts_with(c.object_identity, 'workflow_node.place') LIMIT 1);
BEGIN
  IF object IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'WF611: the table workflow_node.place can''t be moved, split or rebalanced',
      DETAIL = pg_catalog.format('This would create %s.', object),
      HINT = 'Its shards determine where calls are executed. Leave it out (call rebalance_table_shards with a table, or exclude its shards), or add a server and run the SQL of pg-workflow router citus again.';
  END IF;
END $$;
COMMENT ON FUNCTION workflow_node.stay() IS 'Refuses to create another shard of the table that calls follow.';
