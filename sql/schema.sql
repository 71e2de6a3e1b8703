-- The schema of pg_workflow.
--
-- Written once                             Grows with work
--   pack ── action                           execution ──< execution (parent)
--     │        │ workflow_def                    │ 1:1 if its action is a workflow
--     └── workflow_definition                workflow_execution
--             └─< workflow_definition_version    ├─< workflow_task_execution   one row per task, one per item
--                     ^ pinned by workflow_execution.version                     (execution: the child execution it called)
--                                                ├─< signal                  sent to it, for tasks that wait
--                                                ├─< branch_change           what its branches have published
--                                                ├─< pending_report          its completed tasks that it has yet to process
--                                                └─< event                   what happened to it, for people to read
--   schedule, hook   other starts            lease                           who holds which tasks, and until when
--   limit_rule  how many tasks run at once,  limit_key ─< limit_slot         usage of a limit per key: who runs, and when the
--               or begin per unit of time                                    next may begin
--   hold        what must not begin before a time
--   bulk_job    an action applied to many executions, step by step
--
-- * Every table that grows with work has `part` (0..1023) in all its keys. An id is part << 48 | node << 40 | sequence
--   (workflow.make_id), so `id >> 48` is the part, and only start, claim and tick take a part as an argument. A lease's id and
--   token are random and do not encode a part; a lease is in the part of its tasks. All executions of a tree share one part.
--   Only execution checks the range: rows that reference it cannot be in any other part.
-- * In the tables that grow with work, indexed columns come first, starting with those that are never null: every update compares
--   all of them, and PostgreSQL reaches leading fixed columns without walking the row. Columns that change come last: the WAL
--   record of an update omits everything before the first change.
-- * A task's row is the unit of work. It is claimable while `queue_at` is set, running while its `lease` is valid, and never
--   updated again once finished. `queue_at`, `due_at`, `next_retry_at`, `held` and `timed_out` are the only indexed columns
--   that change. Finishing a task changes none of them and remains a HOT update.
-- * While there is one branch with few variables, they are in `workflow_execution.variables`. If there are several branches, or
--   more variables than a row should hold, published variables become rows of `branch_change` on top of them: an event writes only
--   what it adds, however much there is already. workflow.readable shows both as one.
-- * The conductor's own state is `workflow_execution.state`. It is NULL for a single branch of plain steps without
--   variables, so a linear workflow that publishes nothing never writes its execution's row between start and end.
-- * A report of a completed task whose execution is locked by another session doesn't wait: it ends the task's row and adds a row
--   of `pending_report`. The session that locks the execution next first removes these rows and lets the conductor process them
--   with its own reports.
-- * A task under limits carries their names and keys, and is queued like any other. The claim takes a slot of each limit; if one
--   has no free slot, the task leaves the queue and waits at the key (limit_key) until a slot is freed or the rate or hold allows
--   it (limits.rs). Limits and holds belong to the server, not to a part: their rows are in part 0.
-- * A session that finds a limit_key locked leaves a request to check it (limit_wakeup).
-- * An execution of a workflow with concurrency takes a slot like a task (limit_slot.task is its negative id) from its start to its
--   end. While it waits for one, `limit_place` is set and its first tasks are due at infinity (limits/concurrency.rs).
-- * Tasks that no worker executes are ended by the engine: a task without an action, a task that waits for a signal, and a
--   task whose action is a workflow. Their rows are never in the queue.
-- * Lock order: workflow_execution rows part by part, and by (depth, id) within a part, so callers come before the executions
--   they call; then their tasks; then leases, by (part, id); then rows of limits. A session waits only for slots of its own tasks:
--   limit keys and free slots are locked with SKIP LOCKED. So are three other kinds of rows, which nothing ever waits for: tasks
--   that are being claimed, expired leases, and a calling or called execution that a step encounters. If one of these is busy, it
--   is left to the next claim or workflow_tick. A call that reports under several leases locks all of them in one statement before
--   it changes any; so does a call that then locks expired leases. Reports of completed tasks wait for no execution
--   (engine/pending_reports.rs), and so a session that has locked an execution never waits for a running task: code that voids or
--   expires a lease skips tasks that are being reported.
-- * No trigger writes anything: it would fire again when a dump is restored. The functions maintain `updated`.
-- * Every table of user data, and its sequence, is registered at the end of this file; otherwise a dump would omit it.

DO $$
BEGIN
  IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'WF611: pg_workflow requires a database in UTF8, not %', pg_catalog.getdatabaseencoding()
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Create a database with ENCODING ''UTF8'' and TEMPLATE template0.';
  END IF;
END $$;

CREATE SCHEMA workflow;
COMMENT ON SCHEMA workflow IS
  'Tables, views and types of pg_workflow; its API is the workflow_… functions in pg_catalog.';

CREATE TYPE workflow.execution_status AS ENUM
  ('requested', 'scheduling', 'scheduled', 'running', 'completed', 'failed', 'canceling', 'cancelled', 'timeout', 'abandoned');
COMMENT ON TYPE workflow.execution_status IS
  'Status of an execution, a workflow or a task. completed, failed, cancelled, timeout and abandoned are final.';

CREATE TYPE workflow.task_status AS ENUM ('pending', 'running', 'completed', 'failed', 'skipped', 'cancelled');
COMMENT ON TYPE workflow.task_status IS
  'Status of a task in one word, for display; derived from its row by workflow.task_summary.';

CREATE SEQUENCE workflow.pack_id_seq;
CREATE SEQUENCE workflow.action_id_seq;
CREATE SEQUENCE workflow.workflow_definition_id_seq;
CREATE SEQUENCE workflow.workflow_definition_version_id_seq;
CREATE SEQUENCE workflow.schedule_id_seq;
CREATE SEQUENCE workflow.bulk_job_id_seq;
-- A sequence number has 40 bits in an id; the node's bits begin above them.
CREATE SEQUENCE workflow.execution_id_seq MAXVALUE 1099511627775;
CREATE SEQUENCE workflow.workflow_task_execution_id_seq MAXVALUE 1099511627775;
CREATE SEQUENCE workflow.event_id_seq MAXVALUE 1099511627775;
CREATE SEQUENCE workflow.signal_id_seq MAXVALUE 1099511627775;

CREATE TABLE workflow.pack (
  id bigint PRIMARY KEY DEFAULT nextval('workflow.pack_id_seq'),
  ref text NOT NULL CONSTRAINT pack_ref_key UNIQUE CONSTRAINT pack_ref_check CHECK (ref COLLATE "C" ~ '^[a-z][a-z0-9_-]+$'),
  label text NOT NULL,
  description text,
  version text NOT NULL,
  conf_schema jsonb,
  config jsonb,
  meta jsonb NOT NULL DEFAULT '{}',
  tags text[] NOT NULL DEFAULT '{}',
  is_standard boolean NOT NULL DEFAULT false,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workflow.pack IS 'A named set of actions and workflows.';
COMMENT ON COLUMN workflow.pack.id IS 'Primary key.';
COMMENT ON COLUMN workflow.pack.ref IS 'Unique name, lowercase: ^[a-z][a-z0-9_-]+$.';
COMMENT ON COLUMN workflow.pack.label IS 'Display name.';
COMMENT ON COLUMN workflow.pack.description IS 'Purpose of the pack.';
COMMENT ON COLUMN workflow.pack.version IS 'Version assigned by the author.';
COMMENT ON COLUMN workflow.pack.conf_schema IS 'JSON Schema of config.';
COMMENT ON COLUMN workflow.pack.config IS 'Settings shared by the pack''s actions.';
COMMENT ON COLUMN workflow.pack.meta IS 'Anything else the author wants to keep.';
COMMENT ON COLUMN workflow.pack.tags IS 'Tags to search by, matched exactly.';
COMMENT ON COLUMN workflow.pack.is_standard IS 'Whether the pack came with the platform.';
COMMENT ON COLUMN workflow.pack.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.pack.updated IS 'When the row last changed.';

CREATE TABLE workflow.workflow_definition (
  id bigint PRIMARY KEY DEFAULT nextval('workflow.workflow_definition_id_seq'),
  ref text NOT NULL CONSTRAINT workflow_definition_ref_key UNIQUE
    CONSTRAINT workflow_definition_ref_check CHECK (ref COLLATE "C" ~ '^[a-z][a-z0-9_-]+(\.[a-z0-9_-]+)+$'),
  pack bigint NOT NULL REFERENCES workflow.pack ON DELETE CASCADE,
  pack_ref text NOT NULL,
  label text NOT NULL,
  description text,
  version text NOT NULL,
  param_schema jsonb,
  out_schema jsonb,
  definition jsonb NOT NULL,
  tags text[] NOT NULL DEFAULT '{}',
  enabled boolean NOT NULL DEFAULT true,
  current_version bigint,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workflow_definition_pack_idx ON workflow.workflow_definition (pack, id);
CREATE INDEX workflow_definition_tags_idx ON workflow.workflow_definition USING gin (tags);
COMMENT ON TABLE workflow.workflow_definition IS
  'The current head of each workflow; its history is in workflow_definition_version.';
COMMENT ON COLUMN workflow.workflow_definition.id IS 'Primary key.';
COMMENT ON COLUMN workflow.workflow_definition.ref IS 'Unique name, pack.name, lowercase.';
COMMENT ON COLUMN workflow.workflow_definition.pack IS 'The pack it belongs to.';
COMMENT ON COLUMN workflow.workflow_definition.pack_ref IS 'The pack''s ref.';
COMMENT ON COLUMN workflow.workflow_definition.label IS 'Display name.';
COMMENT ON COLUMN workflow.workflow_definition.description IS 'Purpose of the workflow.';
COMMENT ON COLUMN workflow.workflow_definition.version IS 'Version assigned by the author.';
COMMENT ON COLUMN workflow.workflow_definition.param_schema IS
  'JSON Schema of the parameters; its defaults are applied at start.';
COMMENT ON COLUMN workflow.workflow_definition.out_schema IS 'JSON Schema of the output.';
COMMENT ON COLUMN workflow.workflow_definition.definition IS 'The definition in normal form.';
COMMENT ON COLUMN workflow.workflow_definition.tags IS 'Tags to search by, matched exactly.';
COMMENT ON COLUMN workflow.workflow_definition.enabled IS 'Whether it can be started.';
COMMENT ON COLUMN workflow.workflow_definition.current_version IS
  'The workflow_definition_version that new executions pin; NULL if the row was created by workflow_create_definition, which the engine does not run.';
COMMENT ON COLUMN workflow.workflow_definition.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.workflow_definition.updated IS 'When the row last changed.';

CREATE TABLE workflow.workflow_definition_version (
  id bigint PRIMARY KEY DEFAULT nextval('workflow.workflow_definition_version_id_seq'),
  workflow_def bigint NOT NULL REFERENCES workflow.workflow_definition ON DELETE CASCADE,
  number int NOT NULL,
  source text NOT NULL,
  definition jsonb NOT NULL,
  graph jsonb NOT NULL,
  sha256 bytea NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT workflow_definition_version_number_key UNIQUE (workflow_def, number)
);
COMMENT ON TABLE workflow.workflow_definition_version IS
  'Every definition ever stored, never changed: an execution pins one version and never sees a later one.';
COMMENT ON COLUMN workflow.workflow_definition_version.id IS 'Primary key.';
COMMENT ON COLUMN workflow.workflow_definition_version.workflow_def IS 'The workflow.';
COMMENT ON COLUMN workflow.workflow_definition_version.number IS 'Version number, counted from 1 for each workflow.';
COMMENT ON COLUMN workflow.workflow_definition_version.source IS 'The text passed to workflow_define.';
COMMENT ON COLUMN workflow.workflow_definition_version.definition IS 'The definition in normal form.';
COMMENT ON COLUMN workflow.workflow_definition_version.graph IS 'The tasks and the transitions between them.';
COMMENT ON COLUMN workflow.workflow_definition_version.sha256 IS 'SHA-256 of the source.';
COMMENT ON COLUMN workflow.workflow_definition_version.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.workflow_definition_version.updated IS 'When the row last changed.';

CREATE TABLE workflow.action (
  id bigint PRIMARY KEY DEFAULT nextval('workflow.action_id_seq'),
  ref text NOT NULL CONSTRAINT action_ref_key UNIQUE
    CONSTRAINT action_ref_check CHECK (ref COLLATE "C" ~ '^[a-z][a-z0-9_-]+(\.[a-z0-9_-]+)+$'),
  pack bigint NOT NULL REFERENCES workflow.pack ON DELETE CASCADE,
  pack_ref text NOT NULL,
  label text NOT NULL,
  description text NOT NULL DEFAULT '',
  entrypoint text NOT NULL DEFAULT '',
  runtime bigint,
  param_schema jsonb,
  out_schema jsonb,
  is_workflow boolean NOT NULL DEFAULT false,
  workflow_def bigint REFERENCES workflow.workflow_definition ON DELETE SET NULL,
  limits jsonb,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX action_pack_idx ON workflow.action (pack, id);
CREATE INDEX action_workflow_def_idx ON workflow.action (workflow_def, id) WHERE workflow_def IS NOT NULL;
CREATE INDEX action_is_workflow_idx ON workflow.action (id) WHERE is_workflow;
COMMENT ON TABLE workflow.action IS 'Actions that workers can execute, and workflows that stand for an action.';
COMMENT ON COLUMN workflow.action.id IS 'Primary key.';
COMMENT ON COLUMN workflow.action.ref IS 'Unique name, pack.name, lowercase.';
COMMENT ON COLUMN workflow.action.pack IS 'The pack it belongs to.';
COMMENT ON COLUMN workflow.action.pack_ref IS 'The pack''s ref.';
COMMENT ON COLUMN workflow.action.label IS 'Display name.';
COMMENT ON COLUMN workflow.action.description IS 'What the action does.';
COMMENT ON COLUMN workflow.action.entrypoint IS 'What the worker runs; not interpreted by the engine.';
COMMENT ON COLUMN workflow.action.runtime IS 'The worker''s runtime; not interpreted by the engine.';
COMMENT ON COLUMN workflow.action.param_schema IS 'JSON Schema of the input.';
COMMENT ON COLUMN workflow.action.out_schema IS 'JSON Schema of the result.';
COMMENT ON COLUMN workflow.action.is_workflow IS 'Whether a workflow stands for the action.';
COMMENT ON COLUMN workflow.action.workflow_def IS 'The workflow that stands for the action.';
COMMENT ON COLUMN workflow.action.limits IS
  'Limits that apply to all its tasks: an array of objects with a name and, optionally, a key, which may be a template that reads the task''s input; NULL: none.';
COMMENT ON COLUMN workflow.action.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.action.updated IS 'When the row last changed.';

CREATE TABLE workflow.execution (
  part int NOT NULL CONSTRAINT execution_part_check CHECK (part BETWEEN 0 AND 1023),
  id bigint NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  action_ref text NOT NULL,
  action bigint REFERENCES workflow.action ON DELETE SET NULL,
  parent bigint,
  idempotency_key text,
  enforcement bigint,
  executor bigint,
  config jsonb,
  status workflow.execution_status NOT NULL DEFAULT 'requested',
  updated timestamptz NOT NULL DEFAULT now(),
  result jsonb,
  PRIMARY KEY (id, part),
  CONSTRAINT execution_parent_fkey FOREIGN KEY (part, parent) REFERENCES workflow.execution (part, id) ON DELETE CASCADE
) WITH (fillfactor = 40);
CREATE INDEX execution_parent_idx ON workflow.execution (part, parent) WHERE parent IS NOT NULL;
CREATE UNIQUE INDEX execution_idempotency_key ON workflow.execution (part, action_ref, idempotency_key)
  WHERE idempotency_key IS NOT NULL;
COMMENT ON TABLE workflow.execution IS 'One run of an action, which may be a workflow: its parameters and its result.';
COMMENT ON COLUMN workflow.execution.part IS
  'Partitions the work: 0 to 1023, shared by all executions of a tree, part of every key.';
COMMENT ON COLUMN workflow.execution.id IS 'Primary key: part << 48 | node << 40 | sequence.';
COMMENT ON COLUMN workflow.execution.action IS 'The action, while it exists.';
COMMENT ON COLUMN workflow.execution.action_ref IS 'The action''s ref.';
COMMENT ON COLUMN workflow.execution.config IS 'The parameters, with defaults applied.';
COMMENT ON COLUMN workflow.execution.parent IS 'The parent execution, which called this one; NULL: none.';
COMMENT ON COLUMN workflow.execution.enforcement IS 'What triggered it; not interpreted by the engine.';
COMMENT ON COLUMN workflow.execution.executor IS 'Who runs it; not interpreted by the engine.';
COMMENT ON COLUMN workflow.execution.status IS 'Current status. It becomes final when the last of its tasks has ended.';
COMMENT ON COLUMN workflow.execution.result IS 'The result; for a workflow, its output.';
COMMENT ON COLUMN workflow.execution.idempotency_key IS
  'Starting the same action with the same key in the same part returns this execution.';
COMMENT ON COLUMN workflow.execution.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.execution.updated IS 'When the row last changed.';

CREATE TABLE workflow.workflow_execution (
  part int NOT NULL,
  depth int NOT NULL DEFAULT 0,
  id bigint NOT NULL,
  execution bigint NOT NULL,
  workflow_def bigint NOT NULL REFERENCES workflow.workflow_definition,
  priority int NOT NULL DEFAULT 0,
  paused boolean NOT NULL DEFAULT false,
  had_failure boolean NOT NULL DEFAULT false,
  created timestamptz NOT NULL DEFAULT now(),
  version bigint,
  due_at timestamptz,
  attributes jsonb,
  traceparent text,
  variables jsonb NOT NULL DEFAULT '{}',
  task_graph jsonb,
  status workflow.execution_status NOT NULL DEFAULT 'requested',
  updated timestamptz NOT NULL DEFAULT now(),
  current_tasks text[] NOT NULL DEFAULT '{}',
  completed_tasks text[] NOT NULL DEFAULT '{}',
  failed_tasks text[] NOT NULL DEFAULT '{}',
  skipped_tasks text[] NOT NULL DEFAULT '{}',
  state jsonb,
  error_message text,
  errors jsonb,
  pause_reason text,
  propagate_after bigint,
  due_in interval,
  fair_key text,
  hook_depth int,
  concurrency_key text,
  limit_key bigint,
  limit_place timestamptz,
  PRIMARY KEY (id, part),
  CONSTRAINT workflow_execution_id_check CHECK (id = execution),
  CONSTRAINT workflow_execution_execution_fkey FOREIGN KEY (part, id) REFERENCES workflow.execution (part, id) ON DELETE CASCADE
) WITH (fillfactor = 40);
CREATE INDEX workflow_execution_workflow_def_idx ON workflow.workflow_execution (workflow_def, created, id);
-- By time: due rows come first, whatever their part, so a tick with nothing to do reads only the start of the index.
CREATE INDEX workflow_execution_due_idx ON workflow.workflow_execution (due_at, id, part) WHERE due_at IS NOT NULL;
CREATE INDEX workflow_execution_propagate_idx ON workflow.workflow_execution (id) WHERE propagate_after IS NOT NULL;
CREATE INDEX workflow_execution_limit_idx ON workflow.workflow_execution (limit_key, limit_place, id, part) WHERE limit_key IS NOT NULL;
-- Finds executions that wait to begin, including those that found the key locked.
CREATE INDEX workflow_execution_turn_idx ON workflow.workflow_execution (workflow_def, concurrency_key, limit_place, id) WHERE limit_place IS NOT NULL;
CREATE INDEX workflow_execution_paused_idx ON workflow.workflow_execution (id) WHERE paused;
-- For workflow_search. A success writes none of the indexed columns, so these indexes cost it nothing.
CREATE INDEX workflow_execution_attributes_idx ON workflow.workflow_execution USING gin (attributes jsonb_path_ops)
  WITH (gin_pending_list_limit = 256) WHERE attributes IS NOT NULL;
CREATE INDEX workflow_execution_failure_idx ON workflow.workflow_execution (workflow_def, created, id) WHERE had_failure;
-- The code of the first error: the engine's, or the code or type that the worker reported.
CREATE INDEX workflow_execution_error_code_idx ON workflow.workflow_execution (workflow_def,
  pg_catalog.left(coalesce(errors #>> '{0,code}', errors #>> '{0,error,code}', errors #>> '{0,error,type}'), 100), created, id)
  WHERE errors IS NOT NULL;
COMMENT ON TABLE workflow.workflow_execution IS 'One run of a workflow: the memory of its conductor.';
COMMENT ON COLUMN workflow.workflow_execution.part IS 'The part of its execution.';
COMMENT ON COLUMN workflow.workflow_execution.id IS 'Primary key: the id of its execution, so that both have the same id.';
COMMENT ON COLUMN workflow.workflow_execution.execution IS 'The execution that it runs: equal to id.';
COMMENT ON COLUMN workflow.workflow_execution.workflow_def IS 'The workflow.';
COMMENT ON COLUMN workflow.workflow_execution.current_tasks IS
  'Names of tasks that have not ended. Stored here for executions driven from outside; for the engine''s own, views and functions derive it from the tasks until the execution ends.';
COMMENT ON COLUMN workflow.workflow_execution.completed_tasks IS 'Names of tasks that succeeded; see current_tasks.';
COMMENT ON COLUMN workflow.workflow_execution.failed_tasks IS 'Names of tasks that failed; see current_tasks.';
COMMENT ON COLUMN workflow.workflow_execution.skipped_tasks IS
  'Names of tasks whose condition was false; see current_tasks.';
COMMENT ON COLUMN workflow.workflow_execution.variables IS
  'The variables, except for what branches have published since they split (branch_change). Functions and workflow.readable return both, merged in order.';
COMMENT ON COLUMN workflow.workflow_execution.task_graph IS
  'The graph, if it differs from that of the pinned version; NULL: it does not.';
COMMENT ON COLUMN workflow.workflow_execution.status IS
  'The verdict so far; it is final once the execution''s status is final too.';
COMMENT ON COLUMN workflow.workflow_execution.error_message IS 'Why it failed: the message of the first of errors.';
COMMENT ON COLUMN workflow.workflow_execution.errors IS
  'Why it failed, and what else went wrong while it closed, up to 100 causes in order: objects with time, message and, where applicable, task, item, code, and the error as reported. NULL: nothing went wrong. A rerun begins a new list.';
COMMENT ON COLUMN workflow.workflow_execution.paused IS 'Whether it is paused: none of its tasks can be claimed.';
COMMENT ON COLUMN workflow.workflow_execution.pause_reason IS 'Why it is paused.';
COMMENT ON COLUMN workflow.workflow_execution.propagate_after IS
  'The last child execution, in order of id, that was notified of this execution''s pause, resume or stop; workflow_tick notifies the remaining ones. NULL: all have been notified.';
COMMENT ON COLUMN workflow.workflow_execution.due_in IS
  'Remainder of its time limit while it is paused; NULL: it is not paused, or has no time limit.';
COMMENT ON COLUMN workflow.workflow_execution.fair_key IS
  'The key by which it shares the queue with other executions of its workflow, as yielded by fair_by; NULL: its tasks are queued like any others.';
COMMENT ON COLUMN workflow.workflow_execution.attributes IS
  'Attributes by which workflow_search finds it, as an object such as {"tenant": "acme"}; NULL: none.';
COMMENT ON COLUMN workflow.workflow_execution.traceparent IS
  'The span that started it, in W3C Trace Context format; NULL: it is part of no trace.';
COMMENT ON COLUMN workflow.workflow_execution.had_failure IS
  'Whether it or one of its tasks has ever failed, timed out, been cancelled or been abandoned. Never reset; an index contains only executions for which it is true.';
COMMENT ON COLUMN workflow.workflow_execution.hook_depth IS
  'Number of executions before this one in a chain of starts by hooks; NULL: it was not started by a hook.';
COMMENT ON COLUMN workflow.workflow_execution.concurrency_key IS
  'The key by which it counts towards the concurrency of its workflow; empty: all executions count together. NULL: its workflow had no concurrency when it started, or a calling execution has the slot for the same key.';
COMMENT ON COLUMN workflow.workflow_execution.limit_key IS
  'The limit_key at which it waits to begin, because the maximum number of executions is running; NULL: it has begun, or will be examined at due_at.';
COMMENT ON COLUMN workflow.workflow_execution.limit_place IS
  'Its place among the executions that wait for the same key: when it began to wait, or its start time; NULL: it has begun.';
COMMENT ON COLUMN workflow.workflow_execution.version IS
  'The pinned workflow_definition_version; NULL: it was created by workflow_create_workflow_execution and is driven from outside.';
COMMENT ON COLUMN workflow.workflow_execution.state IS
  'The conductor''s memory of branches, joins and routes; NULL: a single branch of plain steps without variables or, once completed, nothing that a rerun would need.';
COMMENT ON COLUMN workflow.workflow_execution.priority IS
  'Higher is claimed first; added to each task''s own priority.';
COMMENT ON COLUMN workflow.workflow_execution.depth IS
  'Number of workflows it was called through: 0 if it was created by workflow_start.';
COMMENT ON COLUMN workflow.workflow_execution.due_at IS
  'When workflow_tick must process it: at its time limit, or immediately if it ended or stopped while its parent or a child was busy.';
COMMENT ON COLUMN workflow.workflow_execution.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.workflow_execution.updated IS 'When the row last changed.';

CREATE TABLE workflow.workflow_task_execution (
  part int NOT NULL,
  attempt int NOT NULL DEFAULT 0,
  id bigint NOT NULL,
  workflow_execution bigint NOT NULL,
  route int NOT NULL DEFAULT 0,
  visit int NOT NULL DEFAULT 0,
  priority int NOT NULL DEFAULT 0,
  max_retries int NOT NULL DEFAULT 0,
  retry_count int NOT NULL DEFAULT 0,
  lost_leases int NOT NULL DEFAULT 0,
  timed_out boolean NOT NULL DEFAULT false,
  skipped boolean NOT NULL DEFAULT false,
  held boolean NOT NULL DEFAULT false,
  calls boolean NOT NULL DEFAULT false,
  closing boolean NOT NULL DEFAULT false,
  waits boolean NOT NULL DEFAULT false,
  created timestamptz NOT NULL DEFAULT now(),
  task_name text NOT NULL,
  action_ref text,
  execution bigint,
  lease bigint,
  task_index int,
  task_batch int,
  timeout_seconds int,
  max_lost_leases int,
  last_worker text,
  signal text,
  context int[],
  traceparent text,
  input jsonb,
  status workflow.execution_status NOT NULL DEFAULT 'requested',
  updated timestamptz NOT NULL DEFAULT now(),
  queue_at timestamptz,
  due_at timestamptz,
  next_retry_at timestamptz,
  started_at timestamptz,
  completed_at timestamptz,
  duration_ms bigint,
  result jsonb,
  error jsonb,
  progress jsonb,
  repeat_count int,
  due_in interval,
  undo jsonb,
  undo_number int,
  undoes bigint,
  label text,
  heartbeat_seconds int,
  due_after interval,
  limits jsonb,
  limit_key bigint,
  limit_place timestamptz,
  fair_key bigint,
  PRIMARY KEY (id, part),
  CONSTRAINT workflow_task_execution_workflow_execution_fkey FOREIGN KEY (part, workflow_execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE,
  CONSTRAINT workflow_task_execution_execution_fkey FOREIGN KEY (part, execution)
    REFERENCES workflow.execution (part, id) ON DELETE CASCADE
) WITH (fillfactor = 30);
-- Each claim adds an entry, and making room for it on a page of deduplicated entries is expensive.
CREATE INDEX workflow_task_execution_workflow_execution_idx ON workflow.workflow_task_execution (workflow_execution)
  WITH (deduplicate_items = off);
CREATE UNIQUE INDEX workflow_task_execution_execution_key ON workflow.workflow_task_execution (part, execution)
  WHERE execution IS NOT NULL;
CREATE INDEX workflow_task_execution_queue_idx ON workflow.workflow_task_execution (part, action_ref, queue_at, id)
  WHERE queue_at IS NOT NULL;
-- Finds the last task of each key in the queue.
CREATE INDEX workflow_task_execution_fair_idx ON workflow.workflow_task_execution (part, fair_key, queue_at)
  WHERE fair_key IS NOT NULL AND queue_at IS NOT NULL;
CREATE INDEX workflow_task_execution_due_idx ON workflow.workflow_task_execution (due_at, id, part) WHERE due_at IS NOT NULL;
-- By task, so that the next item of a task is found regardless of how many others wait.
CREATE INDEX workflow_task_execution_held_idx
  ON workflow.workflow_task_execution (part, workflow_execution, task_name, route, visit, task_index) WHERE held;
CREATE INDEX workflow_task_execution_retry_idx ON workflow.workflow_task_execution (next_retry_at, id)
  WHERE next_retry_at IS NOT NULL;
CREATE INDEX workflow_task_execution_limit_idx ON workflow.workflow_task_execution (limit_key, action_ref, limit_place, id, part)
  WHERE limit_key IS NOT NULL;
CREATE INDEX workflow_task_execution_waits_idx ON workflow.workflow_task_execution (signal, id) WHERE waits;
CREATE INDEX workflow_task_execution_timed_out_idx ON workflow.workflow_task_execution (id) WHERE timed_out;
COMMENT ON TABLE workflow.workflow_task_execution IS
  'One row per task, one per item: the work that workers claim and report.';
COMMENT ON COLUMN workflow.workflow_task_execution.part IS 'The part of its workflow execution.';
COMMENT ON COLUMN workflow.workflow_task_execution.attempt IS
  'Number of times it has been claimed, called its workflow, or begun to wait.';
COMMENT ON COLUMN workflow.workflow_task_execution.id IS 'Primary key: part << 48 | node << 40 | sequence.';
COMMENT ON COLUMN workflow.workflow_task_execution.workflow_execution IS 'The workflow execution it belongs to.';
COMMENT ON COLUMN workflow.workflow_task_execution.label IS 'Display name of its item.';
COMMENT ON COLUMN workflow.workflow_task_execution.heartbeat_seconds IS
  'Seconds after which its wait times out unless it is extended; NULL: only its timeout applies.';
COMMENT ON COLUMN workflow.workflow_task_execution.due_after IS
  'For a wait with a heartbeat: remainder of the timeout after due_at; NULL: it has no timeout.';
COMMENT ON COLUMN workflow.workflow_task_execution.execution IS
  'The child execution that does the work; NULL: this row is the work.';
COMMENT ON COLUMN workflow.workflow_task_execution.lease IS 'The token of its last claim; a report must carry it.';
COMMENT ON COLUMN workflow.workflow_task_execution.task_index IS 'Index of the item, from 0; NULL without with_items.';
COMMENT ON COLUMN workflow.workflow_task_execution.task_batch IS
  'Index of the batch of items, from 0; NULL without batch_size.';
COMMENT ON COLUMN workflow.workflow_task_execution.route IS
  'The route that led to it, if there are several: a task without a join runs once per route.';
COMMENT ON COLUMN workflow.workflow_task_execution.visit IS 'Number of times the task has run before, in a cycle.';
COMMENT ON COLUMN workflow.workflow_task_execution.priority IS
  'Higher is claimed first: each step counts as a minute of waiting.';
COMMENT ON COLUMN workflow.workflow_task_execution.retry_count IS 'Number of retries dispatched so far.';
COMMENT ON COLUMN workflow.workflow_task_execution.max_retries IS 'Maximum number of retries.';
COMMENT ON COLUMN workflow.workflow_task_execution.lost_leases IS
  'Number of leases on it that have expired since it was scheduled or last rerun. From the first one on, it gets a lease of its own.';
COMMENT ON COLUMN workflow.workflow_task_execution.max_lost_leases IS
  'Number of leases that may expire before it ends as abandoned; NULL: pg_workflow.max_lost_leases.';
COMMENT ON COLUMN workflow.workflow_task_execution.last_worker IS 'The worker whose lease on it expired last; NULL: no lease on it has expired.';
COMMENT ON COLUMN workflow.workflow_task_execution.status IS
  'requested: waiting for its time, its turn among items, or its retry; scheduled: claimable, or waiting for its signal; running: leased, or its child execution is running; all others are final.';
COMMENT ON COLUMN workflow.workflow_task_execution.timeout_seconds IS
  'Maximum time that one attempt may run, or that it may wait for its signal, in seconds.';
COMMENT ON COLUMN workflow.workflow_task_execution.timed_out IS 'Whether it exceeded timeout_seconds.';
COMMENT ON COLUMN workflow.workflow_task_execution.skipped IS
  'Whether its condition was false, so that it ended without running.';
COMMENT ON COLUMN workflow.workflow_task_execution.held IS 'Whether it is an item that is waiting for its turn.';
COMMENT ON COLUMN workflow.workflow_task_execution.calls IS
  'Whether its action is a workflow: a child execution does the work, and no worker can claim it.';
COMMENT ON COLUMN workflow.workflow_task_execution.closing IS
  'Whether it may still run after its workflow has failed, timed out or been cancelled: it is a handler of a failure, a task listed beside fail, the finally task, or a task that follows from one of these.';
COMMENT ON COLUMN workflow.workflow_task_execution.waits IS 'Whether it is waiting for its signal.';
COMMENT ON COLUMN workflow.workflow_task_execution.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.workflow_task_execution.updated IS 'When the row last changed.';
COMMENT ON COLUMN workflow.workflow_task_execution.queue_at IS
  'Position in the queue: when it became claimable, moved ahead by its priority; NULL: not claimable.';
COMMENT ON COLUMN workflow.workflow_task_execution.due_at IS
  'When workflow_tick must process it: at the end of its delay, wait, retry delay or timeout.';
COMMENT ON COLUMN workflow.workflow_task_execution.next_retry_at IS 'When its next retry is due; NULL: no retry is planned.';
COMMENT ON COLUMN workflow.workflow_task_execution.started_at IS
  'When it was last claimed, called its workflow, or began to wait for its signal.';
COMMENT ON COLUMN workflow.workflow_task_execution.completed_at IS 'When it ended.';
COMMENT ON COLUMN workflow.workflow_task_execution.duration_ms IS
  'Time from started_at to completed_at, in milliseconds.';
COMMENT ON COLUMN workflow.workflow_task_execution.task_name IS 'The task''s name in the definition.';
COMMENT ON COLUMN workflow.workflow_task_execution.action_ref IS
  'The action that a worker must execute, or the workflow to call; NULL: a routing task, completed by the engine, or a task that waits for a signal.';
COMMENT ON COLUMN workflow.workflow_task_execution.signal IS 'The signal that it waits for; NULL: none.';
COMMENT ON COLUMN workflow.workflow_task_execution.context IS
  'Numbers of the changes (branch_change) that it sees, in order; -2147483648 is added to the last one if no other task sees it. NULL: none.';
COMMENT ON COLUMN workflow.workflow_task_execution.traceparent IS
  'The traceparent of its workflow execution, copied so that a claim need not read that row; NULL: none.';
COMMENT ON COLUMN workflow.workflow_task_execution.input IS 'The rendered input of the action.';
COMMENT ON COLUMN workflow.workflow_task_execution.result IS 'The result that the worker reported.';
COMMENT ON COLUMN workflow.workflow_task_execution.error IS 'The error that the worker reported.';
COMMENT ON COLUMN workflow.workflow_task_execution.due_in IS
  'Remainder of the time that it may wait for its signal, while its execution is paused; NULL: it is not paused, or has no time limit.';
COMMENT ON COLUMN workflow.workflow_task_execution.undo IS
  'Its undo. Once it has completed: an object with action, input, timeout and retries, rendered at that time, or with the error if rendering failed; {}: the execution that it called undoes itself. Before that: what the undo will need. NULL: it has no undo.';
COMMENT ON COLUMN workflow.workflow_task_execution.undo_number IS
  'Its number, from 1, among the tasks of its execution that can be undone, in order of completion; NULL: there is nothing to undo.';
COMMENT ON COLUMN workflow.workflow_task_execution.undoes IS 'The task execution that it undoes; NULL: it is a task of the definition.';
COMMENT ON COLUMN workflow.workflow_task_execution.repeat_count IS
  'Number of times it was repeated because its result did not meet the condition yet; NULL: its success is final, because neither a repetition nor a retry can follow.';
COMMENT ON COLUMN workflow.workflow_task_execution.progress IS
  'Progress of the last attempt that reported any, for the next attempt; NULL: none has.';

COMMENT ON COLUMN workflow.workflow_task_execution.limits IS
  'Limits that apply to each attempt: an array of [name, key], in order; with the empty key, everything counts together. NULL: none.';
COMMENT ON COLUMN workflow.workflow_task_execution.limit_key IS 'The limit_key that it is waiting for; NULL: none.';
COMMENT ON COLUMN workflow.workflow_task_execution.fair_key IS
  'Hash of its workflow and its execution''s fair_key; NULL: the execution has none.';
COMMENT ON COLUMN workflow.workflow_task_execution.limit_place IS
  'For a task under limits: its place in the queue, and among the tasks that wait for the same key.';

CREATE TABLE workflow.signal (
  part int NOT NULL,
  id bigint NOT NULL,
  execution bigint NOT NULL,
  task bigint,
  name text NOT NULL,
  key text,
  payload jsonb,
  error jsonb,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, part),
  CONSTRAINT signal_execution_fkey FOREIGN KEY (part, execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX signal_key ON workflow.signal (part, execution, name, key) WHERE key IS NOT NULL;
CREATE INDEX signal_execution_idx ON workflow.signal (part, execution, name, id);
COMMENT ON TABLE workflow.signal IS
  'Signals sent to executions, including those kept for tasks that are not waiting for them yet.';
COMMENT ON COLUMN workflow.signal.part IS 'The part of its execution.';
COMMENT ON COLUMN workflow.signal.id IS 'Primary key: part << 48 | node << 40 | sequence.';
COMMENT ON COLUMN workflow.signal.execution IS 'The execution to which it was sent.';
COMMENT ON COLUMN workflow.signal.task IS 'The task execution that it completed; NULL: no task has waited for it yet.';
COMMENT ON COLUMN workflow.signal.name IS 'The name that tasks wait for.';
COMMENT ON COLUMN workflow.signal.key IS 'Sending a signal of the same name with the same key again has no effect.';
COMMENT ON COLUMN workflow.signal.payload IS 'The result of the task that waited.';
COMMENT ON COLUMN workflow.signal.error IS 'The error of the task that waited, which fails; NULL: it completes.';
COMMENT ON COLUMN workflow.signal.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.signal.updated IS 'When the row last changed.';

CREATE TABLE workflow.branch_change (
  part int NOT NULL,
  workflow_execution bigint NOT NULL,
  change int NOT NULL,
  place int NOT NULL,
  name text,
  value jsonb,
  sees int[],
  PRIMARY KEY (part, workflow_execution, change, place),
  CONSTRAINT branch_change_entry_check CHECK ((name IS NULL) = (value IS NULL) AND (name IS NULL) <> (sees IS NULL)),
  CONSTRAINT branch_change_workflow_execution_fkey FOREIGN KEY (part, workflow_execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE
);
COMMENT ON TABLE workflow.branch_change IS
  'What the branches of a workflow execution have published, on top of workflow_execution.variables. A task sees the changes in its context, in order; a change contains variables, or the contexts that have met at a join.';
COMMENT ON COLUMN workflow.branch_change.part IS 'The part of the workflow execution.';
COMMENT ON COLUMN workflow.branch_change.workflow_execution IS 'The workflow execution.';
COMMENT ON COLUMN workflow.branch_change.change IS 'Number of the change.';
COMMENT ON COLUMN workflow.branch_change.place IS 'Place of the entry in the order of publishing.';
COMMENT ON COLUMN workflow.branch_change.name IS 'The variable; NULL: the entry is the context of a branch that arrived at a join.';
COMMENT ON COLUMN workflow.branch_change.value IS 'The variable''s value.';
COMMENT ON COLUMN workflow.branch_change.sees IS 'Numbers of other changes that this one contains, in order.';

CREATE TABLE workflow.pending_report (
  part int NOT NULL,
  workflow_execution bigint NOT NULL,
  task bigint NOT NULL,
  place bigint NOT NULL,
  role text NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (part, workflow_execution, task),
  CONSTRAINT pending_report_workflow_execution_fkey FOREIGN KEY (part, workflow_execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE
);
COMMENT ON TABLE workflow.pending_report IS
  'Completed tasks that their workflow execution has yet to process, because another session had locked it when they were reported. The next session that locks it processes them, at the latest the next workflow_tick.';
COMMENT ON COLUMN workflow.pending_report.part IS 'The part of the task.';
COMMENT ON COLUMN workflow.pending_report.workflow_execution IS 'The workflow execution that the task belongs to.';
COMMENT ON COLUMN workflow.pending_report.task IS 'The completed task execution.';
COMMENT ON COLUMN workflow.pending_report.place IS 'Its place in the order of completion: microseconds of the server''s clock when it was reported, plus its place in the call.';
COMMENT ON COLUMN workflow.pending_report.role IS 'The role that reported it.';
COMMENT ON COLUMN workflow.pending_report.created IS 'When it was reported.';

CREATE TABLE workflow.event (
  part int NOT NULL,
  id bigint NOT NULL,
  execution bigint NOT NULL,
  task bigint,
  task_index int,
  task_name text,
  kind text NOT NULL,
  message text,
  author text,
  detail jsonb,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, part),
  CONSTRAINT event_execution_fkey FOREIGN KEY (part, execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE
);
CREATE INDEX event_execution_idx ON workflow.event (part, execution, id);
COMMENT ON TABLE workflow.event IS
  'History of executions: what people did to them, failures, retries, time limits and expired leases; with pg_workflow.log_transitions also every step. The engine never reads it to decide anything.';
COMMENT ON COLUMN workflow.event.part IS 'The part of its execution.';
COMMENT ON COLUMN workflow.event.id IS
  'Primary key: part << 48 | node << 40 | sequence. Orders the events of an execution.';
COMMENT ON COLUMN workflow.event.execution IS 'The execution that it happened to.';
COMMENT ON COLUMN workflow.event.task IS
  'The task execution it is about; NULL: the whole execution, or all items of a task.';
COMMENT ON COLUMN workflow.event.task_index IS 'Index of the item.';
COMMENT ON COLUMN workflow.event.task_name IS
  'The task''s name in the definition; NULL: it is about the whole execution.';
COMMENT ON COLUMN workflow.event.kind IS
  'pause, resume, cancel, rerun, resolve, signal: an action by a user; retrying, failed, timeout, abandoned, lease_expired: what happened to a task, or to the whole execution; lease_refused: a call passed wrong or stale lease tokens; hook, hook_failed: a hook started another execution at its end, or failed to; archive_failed: it was due to be deleted, but could not be archived; with pg_workflow.log_transitions also scheduled, started, repeating, completed, skipped, cancelled.';
COMMENT ON COLUMN workflow.event.message IS
  'The reason given, the signal''s name, or what went wrong; truncated to 1000 characters.';
COMMENT ON COLUMN workflow.event.author IS
  'Who did it: the calling role, preceded by the person named by pg_workflow.actor, if set, as in maria (role console); for events caused by a worker, its name and role, as in worker-7 (role shop_worker); NULL: the engine.';
COMMENT ON COLUMN workflow.event.detail IS
  'Further details, as an object: attempt, type of the error, next_retry_at; for a rerun, its arguments; for lease_refused, the number of tokens refused and up to ten of the tasks; for hooks, the hook, its workflow, and the execution started.';
COMMENT ON COLUMN workflow.event.created IS 'When it happened.';
COMMENT ON COLUMN workflow.event.updated IS 'When the row last changed.';

CREATE TABLE workflow.lease (
  part int NOT NULL,
  id bigint NOT NULL,
  token bigint NOT NULL,
  worker text NOT NULL,
  role text NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  expires_from timestamptz NOT NULL,
  until timestamptz NOT NULL,
  updated timestamptz NOT NULL DEFAULT now(),
  tasks bigint[] NOT NULL,
  PRIMARY KEY (id, part)
) WITH (fillfactor = 50, toast_tuple_target = 8160);
-- Rows are short-lived: compressing their tasks would cost more than everything else.
ALTER TABLE workflow.lease ALTER COLUMN tasks SET STORAGE EXTERNAL;
CREATE INDEX lease_expires_from_idx ON workflow.lease (expires_from);
-- Contains only rows split off by heartbeats: a claim's own row is found by its id.
CREATE INDEX lease_left_behind_idx ON workflow.lease (part, token) WHERE id <> token;
COMMENT ON TABLE workflow.lease IS
  'Leases of workers on tasks: one row per claim, so that a heartbeat writes one row however large the claim is. Tasks carry its token; a row may outlive its tasks, and is deleted when it expires.';
COMMENT ON COLUMN workflow.lease.part IS 'The part of its tasks.';
COMMENT ON COLUMN workflow.lease.id IS 'Primary key: equal to the token, or another random number.';
COMMENT ON COLUMN workflow.lease.token IS
  'The token that its tasks and their reports carry: 52 random bits, written with 16 digits. Equal to id unless a heartbeat named only some of the tasks, which are then spread over several rows.';
COMMENT ON COLUMN workflow.lease.worker IS 'The claiming worker, by the name it chose.';
COMMENT ON COLUMN workflow.lease.role IS 'The database role under which it claimed.';
COMMENT ON COLUMN workflow.lease.expires_from IS
  'until, rounded down to a multiple of ten seconds. The index of expired leases is on this column, so extending a lease usually remains a HOT update.';
COMMENT ON COLUMN workflow.lease.until IS 'When the tasks that still carry the token become claimable again.';
COMMENT ON COLUMN workflow.lease.tasks IS 'The tasks that were claimed.';
COMMENT ON COLUMN workflow.lease.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.lease.updated IS 'When the row last changed.';

CREATE TABLE workflow.schedule (
  id bigint PRIMARY KEY DEFAULT nextval('workflow.schedule_id_seq'),
  name text NOT NULL CONSTRAINT schedule_name_key UNIQUE,
  cron text NOT NULL,
  time_zone text NOT NULL,
  workflow_ref text NOT NULL,
  parameters jsonb NOT NULL,
  missed text NOT NULL CONSTRAINT schedule_missed_check CHECK (missed IN ('skip', 'once', 'all')),
  grace interval NOT NULL,
  overlap boolean NOT NULL,
  priority int NOT NULL,
  part int NOT NULL CONSTRAINT schedule_part_check CHECK (part BETWEEN 0 AND 1023),
  paused boolean NOT NULL DEFAULT false,
  next_at timestamptz,
  last_at timestamptz,
  last_execution bigint,
  last_error text,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX schedule_next_idx ON workflow.schedule (next_at, id) WHERE next_at IS NOT NULL;
COMMENT ON TABLE workflow.schedule IS 'A recurring start of a workflow. workflow_tick starts what is due.';
COMMENT ON COLUMN workflow.schedule.id IS 'Primary key.';
COMMENT ON COLUMN workflow.schedule.name IS 'Unique name.';
COMMENT ON COLUMN workflow.schedule.cron IS 'Cron expression: minute, hour, day of month, month, day of week.';
COMMENT ON COLUMN workflow.schedule.time_zone IS 'IANA time zone in which cron is evaluated.';
COMMENT ON COLUMN workflow.schedule.workflow_ref IS 'The workflow to start.';
COMMENT ON COLUMN workflow.schedule.parameters IS 'The parameters to start it with.';
COMMENT ON COLUMN workflow.schedule.missed IS
  'What to do about times that passed without a tick. skip: drop those later than grace; once: one start for all of them; all: one start for each.';
COMMENT ON COLUMN workflow.schedule.grace IS 'If missed is skip: how late a start may be.';
COMMENT ON COLUMN workflow.schedule.overlap IS
  'Whether to start an execution while the previous one is still running.';
COMMENT ON COLUMN workflow.schedule.priority IS 'The priority of its executions.';
COMMENT ON COLUMN workflow.schedule.part IS 'The part of its executions.';
COMMENT ON COLUMN workflow.schedule.paused IS 'Whether it is paused: nothing is started until it is resumed.';
COMMENT ON COLUMN workflow.schedule.next_at IS 'When it is due next; NULL: it is paused, or never due again.';
COMMENT ON COLUMN workflow.schedule.last_at IS 'The time for which it last started something.';
COMMENT ON COLUMN workflow.schedule.last_execution IS 'The execution it last started.';
COMMENT ON COLUMN workflow.schedule.last_error IS
  'Why nothing was started when it was last due; NULL: something was started.';
COMMENT ON COLUMN workflow.schedule.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.schedule.updated IS 'When the row last changed.';

CREATE TABLE workflow.limit_rule (
  part int NOT NULL DEFAULT 0 CONSTRAINT limit_rule_part_check CHECK (part = 0),
  name text NOT NULL CONSTRAINT limit_rule_name_check CHECK (name COLLATE "C" ~ '^([a-z][a-z0-9_.-]{0,127}|@.+)$'),
  max_running int CONSTRAINT limit_rule_max_running_check CHECK (max_running BETWEEN 1 AND 100000),
  rate int CONSTRAINT limit_rule_rate_check CHECK (rate BETWEEN 1 AND 1000000),
  per interval,
  burst int,
  count_from xid8,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (name, part),
  CONSTRAINT limit_rule_rate_per_burst_check CHECK ((rate IS NULL) = (per IS NULL) AND (rate IS NULL) = (burst IS NULL)),
  CONSTRAINT limit_rule_check CHECK (max_running IS NOT NULL OR rate IS NOT NULL)
);
COMMENT ON TABLE workflow.limit_rule IS
  'Limits, as set by workflow_set_limit: how many tasks with the same key may run at once, and how many may begin per unit of time.';
COMMENT ON COLUMN workflow.limit_rule.part IS 'Always 0: a limit belongs to its server, whatever the parts of the tasks under it.';
COMMENT ON COLUMN workflow.limit_rule.name IS
  'Unique name; @ followed by the ref of a workflow is the concurrency in its definition.';
COMMENT ON COLUMN workflow.limit_rule.max_running IS 'Maximum number of tasks per key that may run at once; NULL: no maximum.';
COMMENT ON COLUMN workflow.limit_rule.rate IS 'Number of tasks per key that may begin within `per`, evenly spread; NULL: any number.';
COMMENT ON COLUMN workflow.limit_rule.per IS 'Time unit of rate.';
COMMENT ON COLUMN workflow.limit_rule.burst IS 'Number of tasks per key that may begin at once after an idle period.';
COMMENT ON COLUMN workflow.limit_rule.count_from IS
  'Set while workflow_tick has yet to count the tasks that were running when max_running was set: transactions that began before this one may not have seen the limit; 0: the next workflow_tick sets it. NULL: everything has been counted.';
COMMENT ON COLUMN workflow.limit_rule.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.limit_rule.updated IS 'When the row last changed.';

CREATE SEQUENCE workflow.limit_key_id_seq;
CREATE TABLE workflow.limit_key (
  part int NOT NULL DEFAULT 0 CONSTRAINT limit_key_part_check CHECK (part = 0),
  id bigint NOT NULL DEFAULT nextval('workflow.limit_key_id_seq'),
  limit_name text NOT NULL,
  key text NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  check_at timestamptz,
  slots int NOT NULL DEFAULT 0,
  next_slot bigint NOT NULL DEFAULT 1,
  next_at timestamptz NOT NULL DEFAULT '-infinity',
  waiting_since timestamptz,
  idle_by xid8,
  idle_xid xid8,
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, part),
  CONSTRAINT limit_key_limit_name_key UNIQUE (limit_name, key, part)
) WITH (fillfactor = 50);
CREATE INDEX limit_key_check_idx ON workflow.limit_key (check_at, id) WHERE check_at IS NOT NULL;
COMMENT ON TABLE workflow.limit_key IS
  'Usage of limits, one row per limit and key. Holds on workflows have the limit name @workflow; the concurrency of a workflow has @ followed by its ref.';
COMMENT ON COLUMN workflow.limit_key.part IS 'Always 0.';
COMMENT ON COLUMN workflow.limit_key.id IS 'Primary key.';
COMMENT ON COLUMN workflow.limit_key.limit_name IS 'Name of the limit.';
COMMENT ON COLUMN workflow.limit_key.key IS 'The key; empty: everything under the limit counts together.';
COMMENT ON COLUMN workflow.limit_key.check_at IS
  'When the next claim or tick must check whether tasks that wait for the key may begin; NULL: none is waiting. Tasks are sent here to wait without being queued first only while it is set.';
COMMENT ON COLUMN workflow.limit_key.slots IS 'Number of its rows in limit_slot.';
COMMENT ON COLUMN workflow.limit_key.next_slot IS 'Number of the next slot to be created.';
COMMENT ON COLUMN workflow.limit_key.next_at IS
  'For a limit with a rate: theoretical arrival time of the next task, which may begin earlier by as much as the burst allows.';
COMMENT ON COLUMN workflow.limit_key.waiting_since IS 'Start of the period in which tasks have been waiting for it without a break; NULL: none is waiting.';
COMMENT ON COLUMN workflow.limit_key.idle_by IS
  'If nothing was found waiting: the transaction that recorded this. Tasks are no longer sent here to wait without being queued first.';
COMMENT ON COLUMN workflow.limit_key.idle_xid IS
  'If a later transaction has seen that record: transactions that began before this one may not have seen it, and may still send tasks here to wait.';
COMMENT ON COLUMN workflow.limit_key.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.limit_key.updated IS 'When the row last changed, except for a request to check it.';

CREATE TABLE workflow.limit_slot (
  part int NOT NULL DEFAULT 0 CONSTRAINT limit_slot_part_check CHECK (part = 0),
  key bigint NOT NULL,
  number bigint NOT NULL,
  task bigint,
  PRIMARY KEY (key, number, part)
) WITH (fillfactor = 50);
CREATE INDEX limit_slot_free_idx ON workflow.limit_slot (key, number) WHERE task IS NULL;
CREATE INDEX limit_slot_task_idx ON workflow.limit_slot (task, key) WHERE task IS NOT NULL;
COMMENT ON TABLE workflow.limit_slot IS
  'Slots of limits with max_running: a claim of a task under such a limit takes a free slot of its key, without waiting for any other session, and the end of the task frees it.';
COMMENT ON COLUMN workflow.limit_slot.part IS 'Always 0.';
COMMENT ON COLUMN workflow.limit_slot.key IS 'The limit_key.';
COMMENT ON COLUMN workflow.limit_slot.number IS 'Its number, which is never reused.';
COMMENT ON COLUMN workflow.limit_slot.task IS 'Id of the running task that occupies it, or the negated id of the execution; NULL: it is free.';

CREATE SEQUENCE workflow.limit_wakeup_id_seq;
CREATE TABLE workflow.limit_wakeup (
  part int NOT NULL DEFAULT 0 CONSTRAINT limit_wakeup_part_check CHECK (part = 0),
  id bigint NOT NULL DEFAULT nextval('workflow.limit_wakeup_id_seq'),
  recount boolean NOT NULL DEFAULT false,
  limit_name text NOT NULL,
  key text NOT NULL,
  PRIMARY KEY (id, part)
);
COMMENT ON TABLE workflow.limit_wakeup IS
  'Requests to check a key of a limit, left by sessions that found the key locked: whoever has locked it may not see what they have freed. The next claim or tick that can lock the key deletes them.';
COMMENT ON COLUMN workflow.limit_wakeup.part IS 'Always 0.';
COMMENT ON COLUMN workflow.limit_wakeup.id IS 'Primary key.';
COMMENT ON COLUMN workflow.limit_wakeup.recount IS
  'Whether a task runs under the limit without a slot, so that workflow_tick has to look for such tasks.';
COMMENT ON COLUMN workflow.limit_wakeup.limit_name IS 'Name of the limit.';
COMMENT ON COLUMN workflow.limit_wakeup.key IS 'The key.';

CREATE TABLE workflow.fair_weight (
  part int NOT NULL DEFAULT 0 CONSTRAINT fair_weight_part_check CHECK (part = 0),
  workflow_ref text NOT NULL,
  key text NOT NULL,
  weight float8 NOT NULL CONSTRAINT fair_weight_weight_check CHECK (weight BETWEEN 0.001 AND 1000),
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workflow_ref, key, part)
);
COMMENT ON TABLE workflow.fair_weight IS
  'Weights of the keys by which executions of a workflow share the queue (fair_by), as set by workflow_set_weight; all other keys have 1.';
COMMENT ON COLUMN workflow.fair_weight.part IS 'Always 0.';
COMMENT ON COLUMN workflow.fair_weight.workflow_ref IS 'The workflow.';
COMMENT ON COLUMN workflow.fair_weight.key IS 'The key, as yielded by fair_by.';
COMMENT ON COLUMN workflow.fair_weight.weight IS 'The weight: a key with 2 gets twice the share of a key with 1.';
COMMENT ON COLUMN workflow.fair_weight.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.fair_weight.updated IS 'When the row last changed.';

CREATE SEQUENCE workflow.hold_id_seq;
CREATE TABLE workflow.hold (
  part int NOT NULL DEFAULT 0 CONSTRAINT hold_part_check CHECK (part = 0),
  id bigint NOT NULL DEFAULT nextval('workflow.hold_id_seq'),
  target text NOT NULL CONSTRAINT hold_target_check CHECK (target IN ('limit', 'action', 'workflow', 'everything')),
  name text NOT NULL,
  key text NOT NULL,
  until timestamptz NOT NULL,
  reason text,
  author text NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, part)
);
CREATE INDEX hold_target_idx ON workflow.hold (target, name, key, until);
CREATE INDEX hold_until_idx ON workflow.hold (until, id);
COMMENT ON TABLE workflow.hold IS
  'Holds, set by workflow_hold or by a report with hold_for: which tasks must not begin before a time. workflow_tick removes holds that have expired.';
COMMENT ON COLUMN workflow.hold.part IS 'Always 0.';
COMMENT ON COLUMN workflow.hold.id IS 'Primary key.';
COMMENT ON COLUMN workflow.hold.target IS 'What is held: limit, action, workflow or everything.';
COMMENT ON COLUMN workflow.hold.name IS 'Name of the limit, or ref of the action or workflow; empty if target is everything.';
COMMENT ON COLUMN workflow.hold.key IS 'Key of the limit; empty: all its keys, or the target is not a limit.';
COMMENT ON COLUMN workflow.hold.until IS 'When the hold ends.';
COMMENT ON COLUMN workflow.hold.reason IS 'The reason given, as shown by workflow_why.';
COMMENT ON COLUMN workflow.hold.author IS 'Who set the hold: the calling role, or the worker and its role, as in worker-7 (role shop_worker).';
COMMENT ON COLUMN workflow.hold.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.hold.updated IS 'When the row last changed.';
CREATE TABLE workflow.bulk_job (
  id bigint PRIMARY KEY DEFAULT nextval('workflow.bulk_job_id_seq'),
  action text NOT NULL CONSTRAINT bulk_job_action_check CHECK (action IN ('pause', 'resume', 'cancel', 'rerun', 'signal', 'prune')),
  filter jsonb NOT NULL,
  arguments jsonb NOT NULL,
  role regrole NOT NULL,
  author text NOT NULL,
  status text NOT NULL CONSTRAINT bulk_job_status_check CHECK (status IN ('running', 'stopped', 'completed', 'failed')),
  reached text,
  is_searched boolean NOT NULL DEFAULT false,
  busy bigint[] NOT NULL DEFAULT '{}',
  processed bigint NOT NULL DEFAULT 0,
  refused bigint NOT NULL DEFAULT 0,
  refusals jsonb NOT NULL DEFAULT '{}',
  last_error text,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bulk_job_running_idx ON workflow.bulk_job (updated, id) WHERE status = 'running';
COMMENT ON TABLE workflow.bulk_job IS
  'Jobs of workflow_apply, which apply an action to all executions that match a filter, one step per workflow_tick. Only the owner can write it.';
COMMENT ON COLUMN workflow.bulk_job.id IS 'Primary key.';
COMMENT ON COLUMN workflow.bulk_job.action IS 'Action applied to each execution: pause, resume, cancel, rerun, signal or prune.';
COMMENT ON COLUMN workflow.bulk_job.filter IS 'The executions to process, as an object of arguments of workflow_search.';
COMMENT ON COLUMN workflow.bulk_job.arguments IS 'Further arguments of the action, as an object.';
COMMENT ON COLUMN workflow.bulk_job.role IS 'The role that called workflow_apply. Each step has exactly its privileges.';
COMMENT ON COLUMN workflow.bulk_job.author IS 'Who called workflow_apply: the author of the events.';
COMMENT ON COLUMN workflow.bulk_job.status IS
  'running; stopped: by workflow_stop_bulk_job; completed: all executions have been processed; failed: a step has failed, see last_error.';
COMMENT ON COLUMN workflow.bulk_job.reached IS 'Cursor of the search; NULL: it has not begun.';
COMMENT ON COLUMN workflow.bulk_job.is_searched IS 'Whether the search has found everything.';
COMMENT ON COLUMN workflow.bulk_job.busy IS 'Executions that other sessions had locked: the next step tries them again.';
COMMENT ON COLUMN workflow.bulk_job.processed IS 'Number of executions that the action was applied to.';
COMMENT ON COLUMN workflow.bulk_job.refused IS 'Number of executions that refused the action.';
COMMENT ON COLUMN workflow.bulk_job.refusals IS 'Number of refusals by code, each with the last one''s message: {"WF612": {"count": 3, "message": "…"}}.';
COMMENT ON COLUMN workflow.bulk_job.last_error IS 'Why a step failed; NULL: no step has failed.';
COMMENT ON COLUMN workflow.bulk_job.created IS 'When the row was created. Executions started later are not processed.';
COMMENT ON COLUMN workflow.bulk_job.updated IS 'When the row last changed: at the last step.';

CREATE TABLE workflow.worker_parts (
  role regrole PRIMARY KEY,
  parts int[] NOT NULL CONSTRAINT worker_parts_parts_check CHECK (
    cardinality(parts) > 0 AND array_position(parts, NULL) IS NULL AND 0 <= ALL (parts) AND 1023 >= ALL (parts)),
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workflow.worker_parts IS
  'Roles that are bound to certain parts, as set by workflow_grant. Only the owner can read or write it.';
COMMENT ON COLUMN workflow.worker_parts.role IS 'The role. Roles that have its privileges are bound, too.';
COMMENT ON COLUMN workflow.worker_parts.parts IS 'The parts, in ascending order.';
COMMENT ON COLUMN workflow.worker_parts.created IS 'When the row was created.';
COMMENT ON COLUMN workflow.worker_parts.updated IS 'When the row last changed.';

SELECT pg_catalog.pg_extension_config_dump('workflow.pack', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.pack_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_definition', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_definition_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_definition_version', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_definition_version_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.action', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.action_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.execution', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.execution_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_execution', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_task_execution', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_task_execution_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.branch_change', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.pending_report', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.signal', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.signal_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.event', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.lease', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.schedule', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.schedule_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.limit_rule', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.limit_key', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.limit_key_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.limit_slot', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.limit_wakeup', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.limit_wakeup_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.fair_weight', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.hold', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.hold_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.bulk_job', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.bulk_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.worker_parts', '');
