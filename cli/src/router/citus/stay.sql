-- Created last, because it would refuse to create the table itself.
SET citus.enable_ddl_propagation = off;
DROP EVENT TRIGGER IF EXISTS workflow_node_stays;
CREATE EVENT TRIGGER workflow_node_stays ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION workflow_node.stay();
RESET citus.enable_ddl_propagation;
SELECT pg_catalog.run_command_on_workers('DROP EVENT TRIGGER IF EXISTS workflow_node_stays');
SELECT pg_catalog.run_command_on_workers(
  'CREATE EVENT TRIGGER workflow_node_stays ON ddl_command_end WHEN TAG IN (''CREATE TABLE'') EXECUTE FUNCTION workflow_node.stay()');
