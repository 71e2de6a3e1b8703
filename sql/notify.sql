-- Waking workers: NOTIFY as a hint that there is something to claim, where somebody has nothing to do.
--
-- At commit, NOTIFY takes a lock that all databases share. So it is sent only if a worker that serves the action has announced
-- that it is idle, and by each process at most once every 10 ms per action and part. How idle workers are found without writing
-- anything is explained in queue/hints.rs. A hint is never required: workers also poll for work, if rarely.

CREATE FUNCTION pg_catalog.workflow_announce_idle(actions text[] DEFAULT NULL) RETURNS interval
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_announce_idle_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_announce_idle(text[]) IS
  'Announces that a worker has nothing to do, so that sessions that queue tasks of these actions notify the channel pg_workflow at commit, with part and action as the payload ("0 shop.charge"), or with an empty payload for any. For the session that listens on that channel: the announcement ends with the session, or when it announces something else. actions: up to 1000 that it serves; null: all; {}: it is idle no more. May wait for commits in progress: what they queue can be claimed after this has returned, and what is queued later is announced. Returns the time until a task may begin that waits for the rate or the hold of a limit: nobody announces that, so look again then; null: none waits. Writes nothing. Errors: WF613 for an action of more than 1000 bytes, WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_announce_idle(text[]) FROM PUBLIC;
