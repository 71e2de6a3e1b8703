-- Starts executions.

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
  'Starts one execution of a workflow and returns its id, or null if the workflow''s concurrency limit is reached and when_full is skip. parameters: an object that satisfies the workflow''s parameters schema; the schema''s defaults are applied. idempotency_key: a repeated key returns the execution that was started with it in the same workflow and part. priority: -1000 to 1000, higher is claimed first. run_at: when its first tasks can be claimed; null means now. If the execution fails before it has any task to do, the call fails with that error; if run_at was given, the execution is stored as failed. part: 0 to 1023, the part that stores its rows; null means one of the first pg_workflow.default_parts, chosen by the key if there is one. attributes: an object of at most 8192 bytes for workflow_search, inherited by the executions it calls. Each key overrides the definition''s attribute; a null value removes it. traceparent: the span that starts it, in W3C Trace Context format. Claims return it with each task of this execution and of those it calls. Null means pg_workflow.traceparent; a malformed value is ignored. Errors: WF601 the parameters are invalid, with the violations in the detail (at most 100, and the number of further ones); WF611 the workflow is disabled; WF613 an argument is out of range, or attributes is not an object; WF614 the parameters exceed pg_workflow.max_parameter_bytes, or the attributes 8192 bytes; WF616 there is no such workflow; WF618 the workflow is driven from outside; WF622 the part belongs to another server; WF623 the concurrency limit is reached and when_full is fail.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start(text, jsonb, text, int, timestamptz, int, jsonb, text) FROM PUBLIC;

CREATE FUNCTION pg_catalog.workflow_start_many(ref text, parameters jsonb[], idempotency_keys text[] DEFAULT NULL,
  priority int DEFAULT 0, run_at timestamptz DEFAULT NULL, part int DEFAULT NULL, attributes jsonb[] DEFAULT NULL,
  traceparents text[] DEFAULT NULL)
RETURNS SETOF bigint
LANGUAGE c VOLATILE PARALLEL UNSAFE ROWS 100 SET search_path = pg_catalog, pg_temp
AS 'MODULE_PATHNAME', 'workflow_start_many_wrapper';
COMMENT ON FUNCTION pg_catalog.workflow_start_many(text, jsonb[], text[], int, timestamptz, int, jsonb[], text[]) IS
  'Starts up to 10000 executions of one workflow, like workflow_start but in a few statements: returns one id per element of parameters, in order, or null for a start skipped because of the concurrency limit. idempotency_keys, attributes and traceparents: one per element, or null for none (a null traceparent means the session''s). If any parameters are invalid, or an execution fails before it has any task to do, none is started, and the detail names the element. Errors: as workflow_start, and WF614 for too many.';
REVOKE ALL ON FUNCTION pg_catalog.workflow_start_many(text, jsonb[], text[], int, timestamptz, int, jsonb[], text[]) FROM PUBLIC;
