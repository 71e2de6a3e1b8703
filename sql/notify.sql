-- Waking workers: NOTIFY hints to idle workers that there is something to claim.
--
-- At commit, NOTIFY takes a lock that all databases share. So it is sent only if a worker that serves the action has announced
-- that it is idle, and by each process at most once every 10 ms per action and part. extension/src/queue/hints.rs explains how idle
-- workers are found without writing anything. A hint is never required: workers also poll for work, if rarely.

CREATE FUNCTION pg_catalog.workflow_announce_idle(actions text[] DEFAULT NULL) RETURNS interval
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_announce_idle_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_announce_idle(text[]) IS
  'Announces that a worker has nothing to do: sessions that queue tasks of these actions then notify the channel pg_workflow at commit, with part and action as the payload ("0 shop.charge"), or with an empty payload if they do not matter. Call it in the session that listens on that channel: the announcement lasts until the session ends or makes another one. actions: up to 1000 actions that the worker serves; null means all, and {} withdraws the announcement. May wait for commits in progress: the tasks they queue can be claimed once this returns, and tasks queued later are notified. Returns the time until the next task may begin that waits for the rate or the hold of a limit, or null if none is waiting; no notification is sent for these, so look again then. Writes nothing. Errors: WF613 for an action of more than 1000 bytes, WF614 for too many actions.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_announce_idle(text[]) FROM PUBLIC;
