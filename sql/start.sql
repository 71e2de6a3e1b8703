-- Starting executions.

CREATE FUNCTION workflow.check_start(ref text, priority int, part int) RETURNS void
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'workflow_check_start_wrapper';
COMMENT ON FUNCTION workflow.check_start(text, int, int) IS 'Raises WF613 if the arguments of a start are invalid.';
REVOKE ALL ON FUNCTION workflow.check_start(text, int, int) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_start(ref text, parameters jsonb DEFAULT '{}', idempotency_key text DEFAULT NULL,
  priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, part int DEFAULT NULL, attributes jsonb DEFAULT NULL,
  traceparent text DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_start_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_start(text, jsonb, text, int, timestamptz, int, jsonb, text) IS
  'Starts one execution of a workflow and returns its id; null if as many run as its concurrency allows, and when_full is skip. parameters: an object that satisfies the workflow''s parameters schema, whose defaults are applied. idempotency_key: the same key for the same workflow in the same part returns the same execution. priority: -1000 to 1000, higher is claimed first. run_at: when its first tasks can be claimed; null: now. If the execution fails before it has any task to do, the call fails with that error; if run_at was given, the execution is stored as failed. part: 0 to 1023, the part that holds its rows; null: by its key, or else any, among the first pg_workflow.default_parts. attributes: an object of at most 8192 bytes by which workflow_search finds it; what it calls inherits them. They override those of the definition key by key, and null removes one. traceparent: the span that starts it, as W3C Trace Context writes it, which the claims of its tasks and of all that it calls hand out; null: as pg_workflow.traceparent says; one that is malformed is ignored. Errors: WF601 the parameters are invalid, with the violations in the detail (at most 100, and the number of further ones); WF611 the workflow is disabled; WF613 an argument out of range, or attributes that are no object; WF614 the parameters have more bytes than pg_workflow.max_parameter_bytes, or the attributes more than 8192; WF616 no such workflow; WF618 it is driven from outside; WF622 the part is not this server''s; WF623 as many run as its concurrency allows, and when_full is fail.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start(text, jsonb, text, int, timestamptz, int, jsonb, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_start_many(ref text, parameters jsonb[], idempotency_keys text[] DEFAULT NULL,
  priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, part int DEFAULT NULL, attributes jsonb[] DEFAULT NULL,
  traceparents text[] DEFAULT NULL)
RETURNS SETOF bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_start_many_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_start_many(text, jsonb[], text[], int, timestamptz, int, jsonb[], text[]) IS
  'Starts up to 10000 executions of one workflow, like workflow_start but in a few statements: returns one id per element of parameters, in order, null for one that concurrency skips. idempotency_keys, attributes and traceparents: one per element, null for none (of a traceparent: the session''s). If any parameters are invalid, or an execution fails before it has any task to do, none is started; the detail says which element. Errors: as workflow_start, and WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start_many(text, jsonb[], text[], int, timestamptz, int, jsonb[], text[]) FROM PUBLIC;
