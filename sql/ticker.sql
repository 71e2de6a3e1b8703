-- Tickers: background workers that call workflow_tick, so that time passes without any caller. Where the library is
-- preloaded, a launcher keeps one in each database that pg_workflow.databases names. These functions start and stop one
-- in the current database without that; it stays until it is stopped or the server is.

CREATE FUNCTION pg_catalog.workflow_start_ticker() RETURNS boolean
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'workflow_start_ticker_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_start_ticker() IS
  'Starts a background worker that calls workflow_tick in this database every pg_workflow.tick_interval, until workflow_stop_ticker or the end of the server. False: one is there already. For the owner of the extension. Error: WF614 where max_worker_processes leaves no room.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start_ticker() FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_stop_ticker() RETURNS boolean
LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RETURN coalesce((SELECT bool_or(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
    WHERE a.backend_type = 'pg_workflow ticker' AND a.datname = current_database()), false);
END $$;
COMMENT ON FUNCTION pg_catalog.workflow_stop_ticker() IS
  'Ends this database''s ticker, once it has finished what it is doing. False: there is none. One that pg_workflow.databases asks for comes back. For the owner of the extension.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_stop_ticker() FROM PUBLIC;
