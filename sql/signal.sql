-- Signals: what comes from outside to a task that waits for it (wait_for), an approval for example.
--
-- A signal that comes before its task waits is kept. The execution's lock decides between a signal, the end of the wait's
-- time and everything else: whoever comes first.

CREATE FUNCTION pg_catalog.workflow_signal(execution_id bigint, name text, payload jsonb DEFAULT NULL, key text DEFAULT NULL)
RETURNS text
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_signal_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text) IS
  'Sends a signal to an execution: the oldest task that waits for this name completes, with the payload as its result. Answers delivered; or kept, where no task waits for it yet: the next that does has it at once. key: sending a signal of this name with the same key again changes nothing, and is answered as the first time, or as it stands by now. Errors: WF611 where the execution has ended, or stops and no task waits for that name, or no task of its workflow ever does; WF613 null or a name or key that is too long; WF614 a payload too large; WF616 no such execution; WF618 driven from outside.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_signal(bigint, text, jsonb, text) FROM PUBLIC;
