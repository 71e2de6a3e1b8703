-- Tickers: background workers that call workflow_tick, so that time advances even if no client calls it. If the library is
-- preloaded, a launcher keeps one running in each database named in pg_workflow.databases. Without that, the functions below start
-- and stop one in the current database; it runs until it, or the server, is stopped.

CREATE FUNCTION pg_catalog.workflow_start_ticker() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_start_ticker_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_start_ticker() IS
  'Starts a background worker that calls workflow_tick in this database every pg_workflow.tick_interval, until workflow_stop_ticker or server shutdown, and waits until it is running. Returns false if this database already has a ticker. For the owner of the extension. Errors: WF614 if max_worker_processes leaves no room, WF611 if it ends as soon as it is started, and on a standby.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start_ticker() FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_stop_ticker() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_stop_ticker_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_stop_ticker() IS
  'Stops the ticker of this database once it has finished its tick, and waits for that; after 10 seconds, it returns with a warning instead. Returns false if there is no ticker. A ticker requested by pg_workflow.databases is started again. For the owner of the extension.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_stop_ticker() FROM PUBLIC;
