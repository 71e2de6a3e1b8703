-- Signals: input from outside, such as an approval, for a task that waits for it (wait_for).
--
-- A signal that arrives before its task waits is kept. The execution's lock decides between a signal, the end of the wait and
-- everything else: whoever gets it first wins.

CREATE FUNCTION pg_catalog.workflow_signal(execution_id bigint, name text, payload jsonb DEFAULT NULL, key text DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_signal_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text) IS
  'Sends a signal to an execution: the oldest task that waits for this name completes, with the payload as its result. Returns delivered, or kept if no task is waiting for it yet: the next one that waits gets it immediately. key: sending a signal of this name with the same key again changes nothing, and returns the same answer, or delivered if a kept signal has been delivered since. Errors: WF611 if the execution has ended, if it is stopping and no task waits for that name, or if no task of its workflow ever does; WF613 null, or a name or key that is too long; WF614 a payload that is too large; WF616 no such execution; WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text) FROM PUBLIC;
