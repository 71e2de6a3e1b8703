-- Time: work that becomes due as time passes. Every worker's loop calls workflow_tick; nothing else needs a clock.

CREATE FUNCTION pg_catalog.workflow_tick(max_rows int DEFAULT 1000, parts int[] DEFAULT NULL) RETURNS int
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_tick_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_tick(int, int[]) IS
  'Processes what has become due, up to max_rows (1 to 10000) of each kind: expired leases; delays and retries; time limits of tasks, waits and workflows; scheduled starts; ends of sub-workflows whose parents were too busy to be notified; one step of a job of workflow_apply; and pauses, resumes and cancels that have yet to reach all executions of a large family. If parts is null, also deletes executions whose retention period is over, examining up to max_rows of them. parts: the parts to look in; null means all. Returns how much it did: call again until it returns 0. Safe to call from anywhere, at any rate, concurrently. Errors: WF613 for an argument out of range, WF620 if the role is bound to other parts.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_tick(int, int[]) FROM PUBLIC;
