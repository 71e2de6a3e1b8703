-- Tickers: background workers that call workflow_tick, so that time passes without any caller. Where the library is
-- preloaded, a launcher keeps one in each database that pg_workflow.databases names. These functions start and stop one
-- in the current database without that; it stays until it is stopped or the server is.

CREATE FUNCTION pg_catalog.workflow_start_ticker() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_start_ticker_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_start_ticker() IS
  'Starts a background worker that calls workflow_tick in this database every pg_workflow.tick_interval, until workflow_stop_ticker or the end of the server, and waits until it runs. False: another is the ticker of this database. For the owner of the extension. Errors: WF614 where max_worker_processes leaves no room, WF611 where it ends as soon as it is started, and on a standby.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start_ticker() FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_stop_ticker() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_stop_ticker_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_stop_ticker() IS
  'Ends the ticker of this database once it has finished its tick, and waits for that; after 10 seconds it returns with a warning instead. False: there is none. One that pg_workflow.databases asks for comes back. For the owner of the extension.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_stop_ticker() FROM PUBLIC;
