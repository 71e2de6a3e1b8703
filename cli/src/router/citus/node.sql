CREATE OR REPLACE FUNCTION workflow_node.guard(server int) RETURNS void
LANGUAGE plpgsql STABLE PARALLEL UNSAFE AS $$
DECLARE
  node int := pg_catalog.current_setting('pg_workflow.node', true);
BEGIN
  IF node IS NULL AND (SELECT g.groupid FROM pg_catalog.pg_dist_local_group AS g) <> 0 THEN
    -- The default, before the library has been loaded.
    node := 0;
  END IF;
  IF server OPERATOR(pg_catalog.&) 255 OPERATOR(pg_catalog.=) node IS NOT TRUE THEN
    RAISE EXCEPTION USING ERRCODE = '55000', MESSAGE = 'WF611: Citus has not passed the call on to the server that it is for',
      DETAIL = pg_catalog.format('it is for the node %s, and this is %s', server OPERATOR(pg_catalog.&) 255, coalesce('the node ' OPERATOR(pg_catalog.||) node, 'the coordinator')),
      HINT = 'call functions of pg_catalog only; if the table workflow_node.place has been moved, run the SQL of pg-workflow router citus again';
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
      DETAIL = pg_catalog.format('%s would be created', object),
      HINT = 'its shards say where calls are carried out: leave it out (rebalance_table_shards with a table, or an excluded shard), or add a server and run the SQL of pg-workflow router citus again';
  END IF;
END $$;
COMMENT ON FUNCTION workflow_node.stay() IS 'Refuses to create another shard of the table that calls follow.';
