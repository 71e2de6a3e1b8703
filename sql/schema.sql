-- The schema of pg_workflow.
--
-- What is written once                     What grows with work
--   pack ── action                           execution ──< execution (parent)
--     │        │ workflow_def                    │ 1:1, when its action is a workflow
--     └── workflow_definition                workflow_execution
--             └─< workflow_definition_version    ├─< workflow_task_execution   one row a task, one an item
--                     ^ pinned by workflow_execution.version                     (execution: the child that it called)
--                                                ├─< signal                  sent, for tasks that wait
--                                                └─< event                   what happened to it, for people
--   schedule    recurring starts             lease                           who holds which tasks until when
--
-- * Rows that grow with work carry `part` (0..1023), in every key. An id is part << 48 | node << 40 | sequence
--   (workflow.make_id), so `id >> 48` is the part and no call but start, claim and tick needs to be told it. A lease's id
--   and token are random and name no part: theirs is that of the task. A tree of executions shares one part. execution
--   checks its range; what refers to it can have no other.
-- * Of what grows with work, the columns that indexes know come first, and of these the ones that are never null: PostgreSQL
--   finds them at once, and looks at every one at each update. Last come those that change: only what is behind the first
--   change goes to the log.
-- * A task's row is the work itself. It is claimable while `queue_at` is set, running while its `lease` holds, and
--   never touched again once finished. `queue_at`, `due_at`, `next_retry_at`, `held` and `timed_out` are the only changing
--   columns that an index knows: finishing a task changes none of them, and stays a HOT update.
-- * What a branch knows is in `workflow_execution.variables` while there is one branch; several branches keep their
--   differences in `workflow_execution.state`, the conductor's own memory. It is NULL for a single branch of plain steps
--   without variables. A linear workflow that publishes nothing never writes its execution's row between start and end.
-- * That an item is done, and is not the last of its task, is in its row alone, where `state` says so (`uncounted`): whoever
--   has the execution's lock next counts these rows first.
-- * What no worker does, the engine ends itself: a task without action, one that waits for a signal, and one whose action
--   is a workflow. Such rows are never in the queue.
-- * Lock order: workflow_execution rows part by part, in each by (depth, id), so that callers come before what they call; then
--   their tasks; then leases, by (part, id). Three things are taken with SKIP LOCKED, and so never waited for: the tasks that
--   a claim takes, the leases that have expired, and a caller or a called execution that a step comes upon. What is busy then
--   is left to the next claim or to workflow_tick. A call that reports under several leases locks all of them in one
--   statement before it changes any, and so does one that is about to lock expired ones besides. Reports of items that are
--   done may do without the execution's row, by a shared lock that is no row's (uncounted.rs), and wait for no execution.
-- * No triggers: they would fire again when a dump is restored. The functions keep `updated`.
-- * Every table of users' data and its sequence is registered at the end, or a dump would leave it out.

DO $$
BEGIN
  IF pg_catalog.getdatabaseencoding() <> 'UTF8' THEN
    RAISE EXCEPTION 'WF611: the encoding of this database is %: pg_workflow needs UTF8', pg_catalog.getdatabaseencoding()
      USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'create a database with ENCODING ''UTF8'' and TEMPLATE template0';
  END IF;
END $$;

CREATE SCHEMA workflow;
COMMENT ON SCHEMA workflow IS 'Tables, views and types of pg_workflow; its API is the workflow_… functions in pg_catalog.';

CREATE TYPE workflow.execution_status AS ENUM
  ('requested', 'scheduling', 'scheduled', 'running', 'completed', 'failed', 'canceling', 'cancelled', 'timeout', 'abandoned');
COMMENT ON TYPE workflow.execution_status IS
  'Where an execution, a workflow or a task stands. completed, failed, cancelled, timeout and abandoned are ends.';

CREATE TYPE workflow.task_status AS ENUM ('pending', 'running', 'completed', 'failed', 'skipped', 'cancelled');
COMMENT ON TYPE workflow.task_status IS 'A task in one word, for people; derived from its row by workflow.task_summary.';

CREATE SEQUENCE workflow.pack_id_seq;
CREATE SEQUENCE workflow.action_id_seq;
CREATE SEQUENCE workflow.workflow_definition_id_seq;
CREATE SEQUENCE workflow.workflow_definition_version_id_seq;
CREATE SEQUENCE workflow.schedule_id_seq;
-- Numbers that go into ids have 40 bits there: past these begin the bits of the node.
CREATE SEQUENCE workflow.execution_id_seq MAXVALUE 1099511627775;
CREATE SEQUENCE workflow.workflow_execution_id_seq MAXVALUE 1099511627775;
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
COMMENT ON COLUMN workflow.pack.id IS 'Key.';
COMMENT ON COLUMN workflow.pack.ref IS 'Unique name: lower case, ^[a-z][a-z0-9_-]+$.';
COMMENT ON COLUMN workflow.pack.label IS 'What people call it.';
COMMENT ON COLUMN workflow.pack.description IS 'What it is for.';
COMMENT ON COLUMN workflow.pack.version IS 'The author''s version.';
COMMENT ON COLUMN workflow.pack.conf_schema IS 'JSON Schema of config.';
COMMENT ON COLUMN workflow.pack.config IS 'Settings shared by its actions.';
COMMENT ON COLUMN workflow.pack.meta IS 'Anything else its author wants kept.';
COMMENT ON COLUMN workflow.pack.tags IS 'Exact words to find it by.';
COMMENT ON COLUMN workflow.pack.is_standard IS 'It came with the platform.';
COMMENT ON COLUMN workflow.pack.created IS 'When the row was made.';
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
COMMENT ON TABLE workflow.workflow_definition IS 'The current head of a workflow; its history is workflow_definition_version.';
COMMENT ON COLUMN workflow.workflow_definition.id IS 'Key.';
COMMENT ON COLUMN workflow.workflow_definition.ref IS 'Unique name, pack.name, lower case.';
COMMENT ON COLUMN workflow.workflow_definition.pack IS 'The pack it belongs to.';
COMMENT ON COLUMN workflow.workflow_definition.pack_ref IS 'That pack''s ref.';
COMMENT ON COLUMN workflow.workflow_definition.label IS 'What people call it.';
COMMENT ON COLUMN workflow.workflow_definition.description IS 'What it is for.';
COMMENT ON COLUMN workflow.workflow_definition.version IS 'The author''s version.';
COMMENT ON COLUMN workflow.workflow_definition.param_schema IS 'JSON Schema of the parameters; its defaults apply at start.';
COMMENT ON COLUMN workflow.workflow_definition.out_schema IS 'JSON Schema of the output.';
COMMENT ON COLUMN workflow.workflow_definition.definition IS 'The definition in its normal form.';
COMMENT ON COLUMN workflow.workflow_definition.tags IS 'Exact words to find it by.';
COMMENT ON COLUMN workflow.workflow_definition.enabled IS 'False: it cannot be started.';
COMMENT ON COLUMN workflow.workflow_definition.current_version IS
  'The workflow_definition_version that new executions pin; NULL where the row was made by workflow_create_definition, which the engine does not run.';
COMMENT ON COLUMN workflow.workflow_definition.created IS 'When the row was made.';
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
  'Every definition ever stored, never changed: an execution pins one and sees no later.';
COMMENT ON COLUMN workflow.workflow_definition_version.id IS 'Key.';
COMMENT ON COLUMN workflow.workflow_definition_version.workflow_def IS 'The workflow.';
COMMENT ON COLUMN workflow.workflow_definition_version.number IS 'Counts from 1 for each workflow.';
COMMENT ON COLUMN workflow.workflow_definition_version.source IS 'The text as given to workflow_define.';
COMMENT ON COLUMN workflow.workflow_definition_version.definition IS 'Its normal form.';
COMMENT ON COLUMN workflow.workflow_definition_version.graph IS 'Its tasks and the transitions between them.';
COMMENT ON COLUMN workflow.workflow_definition_version.sha256 IS 'SHA-256 of the source.';
COMMENT ON COLUMN workflow.workflow_definition_version.created IS 'When the row was made.';
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
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX action_pack_idx ON workflow.action (pack, id);
CREATE INDEX action_workflow_def_idx ON workflow.action (workflow_def, id) WHERE workflow_def IS NOT NULL;
CREATE INDEX action_is_workflow_idx ON workflow.action (id) WHERE is_workflow;
COMMENT ON TABLE workflow.action IS 'What a worker can do, or a workflow that stands for an action.';
COMMENT ON COLUMN workflow.action.id IS 'Key.';
COMMENT ON COLUMN workflow.action.ref IS 'Unique name, pack.name, lower case.';
COMMENT ON COLUMN workflow.action.pack IS 'The pack it belongs to.';
COMMENT ON COLUMN workflow.action.pack_ref IS 'That pack''s ref.';
COMMENT ON COLUMN workflow.action.label IS 'What people call it.';
COMMENT ON COLUMN workflow.action.description IS 'What it does.';
COMMENT ON COLUMN workflow.action.entrypoint IS 'What the worker runs: its own affair.';
COMMENT ON COLUMN workflow.action.runtime IS 'The worker''s runtime: its own affair.';
COMMENT ON COLUMN workflow.action.param_schema IS 'JSON Schema of its input.';
COMMENT ON COLUMN workflow.action.out_schema IS 'JSON Schema of its result.';
COMMENT ON COLUMN workflow.action.is_workflow IS 'A workflow stands for it.';
COMMENT ON COLUMN workflow.action.workflow_def IS 'That workflow.';
COMMENT ON COLUMN workflow.action.created IS 'When the row was made.';
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
COMMENT ON TABLE workflow.execution IS 'One run of an action, a workflow being one too: what was asked for and what came out.';
COMMENT ON COLUMN workflow.execution.part IS 'Spreads work: 0 to 1023, shared by a tree of executions, in every key.';
COMMENT ON COLUMN workflow.execution.id IS 'Key: part << 48 | node << 40 | sequence.';
COMMENT ON COLUMN workflow.execution.action IS 'The action, while it exists.';
COMMENT ON COLUMN workflow.execution.action_ref IS 'The action''s ref.';
COMMENT ON COLUMN workflow.execution.config IS 'The parameters, defaults applied.';
COMMENT ON COLUMN workflow.execution.parent IS 'The execution that this one is a part of.';
COMMENT ON COLUMN workflow.execution.enforcement IS 'What made it run: its caller''s own affair.';
COMMENT ON COLUMN workflow.execution.executor IS 'Who runs it: its caller''s own affair.';
COMMENT ON COLUMN workflow.execution.status IS 'Where it stands. It ends when the last of its tasks has.';
COMMENT ON COLUMN workflow.execution.result IS 'What came out: a workflow''s output.';
COMMENT ON COLUMN workflow.execution.idempotency_key IS 'Starting the same action with the same key in the same part gives this execution back.';
COMMENT ON COLUMN workflow.execution.created IS 'When the row was made.';
COMMENT ON COLUMN workflow.execution.updated IS 'When the row last changed.';

CREATE TABLE workflow.workflow_execution (
  part int NOT NULL,
  depth int NOT NULL DEFAULT 0,
  id bigint NOT NULL,
  execution bigint NOT NULL,
  workflow_def bigint NOT NULL REFERENCES workflow.workflow_definition,
  priority int NOT NULL DEFAULT 0,
  paused boolean NOT NULL DEFAULT false,
  created timestamptz NOT NULL DEFAULT now(),
  version bigint,
  due_at timestamptz,
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
  pause_reason text,
  propagate_after bigint,
  PRIMARY KEY (id, part),
  CONSTRAINT workflow_execution_execution_key UNIQUE (execution, part),
  CONSTRAINT workflow_execution_execution_fkey FOREIGN KEY (part, execution) REFERENCES workflow.execution (part, id) ON DELETE CASCADE
) WITH (fillfactor = 40);
CREATE INDEX workflow_execution_workflow_def_idx ON workflow.workflow_execution (workflow_def, created, id);
-- By time: what is due is at the beginning, whatever its part, and a tick with nothing to do reads no more than that.
CREATE INDEX workflow_execution_due_idx ON workflow.workflow_execution (due_at, id, part) WHERE due_at IS NOT NULL;
CREATE INDEX workflow_execution_propagate_idx ON workflow.workflow_execution (id) WHERE propagate_after IS NOT NULL;
CREATE INDEX workflow_execution_paused_idx ON workflow.workflow_execution (id) WHERE paused;
COMMENT ON TABLE workflow.workflow_execution IS 'One run of a workflow: the memory of its conductor.';
COMMENT ON COLUMN workflow.workflow_execution.part IS 'The part of its execution.';
COMMENT ON COLUMN workflow.workflow_execution.id IS 'Key: part << 48 | node << 40 | sequence.';
COMMENT ON COLUMN workflow.workflow_execution.execution IS 'The execution that it runs.';
COMMENT ON COLUMN workflow.workflow_execution.workflow_def IS 'The workflow.';
COMMENT ON COLUMN workflow.workflow_execution.current_tasks IS
  'Tasks not ended, by name. Kept here for executions driven from outside; for the engine''s own the views and functions derive it from the tasks until the end.';
COMMENT ON COLUMN workflow.workflow_execution.completed_tasks IS 'Tasks that ended well, by name; see current_tasks.';
COMMENT ON COLUMN workflow.workflow_execution.failed_tasks IS 'Tasks that ended badly, by name; see current_tasks.';
COMMENT ON COLUMN workflow.workflow_execution.skipped_tasks IS 'Tasks whose condition was false, by name; see current_tasks.';
COMMENT ON COLUMN workflow.workflow_execution.variables IS 'The variables, the changes of all branches merged in order.';
COMMENT ON COLUMN workflow.workflow_execution.task_graph IS 'The graph, where it differs from the pinned version''s; NULL = that one.';
COMMENT ON COLUMN workflow.workflow_execution.status IS 'The verdict so far; it is final when the execution''s status is an end too.';
COMMENT ON COLUMN workflow.workflow_execution.error_message IS 'Why it failed: code, task, expression and cause.';
COMMENT ON COLUMN workflow.workflow_execution.paused IS 'No task of it can be claimed.';
COMMENT ON COLUMN workflow.workflow_execution.pause_reason IS 'Why it is paused.';
COMMENT ON COLUMN workflow.workflow_execution.propagate_after IS
  'The child execution up to which it has passed on that it was paused, resumed or stopped, in the order of ids; workflow_tick tells the others. NULL: all have heard.';
COMMENT ON COLUMN workflow.workflow_execution.version IS
  'The pinned workflow_definition_version; NULL: made by workflow_create_workflow_execution and driven from outside.';
COMMENT ON COLUMN workflow.workflow_execution.state IS 'The conductor''s memory of branches, joins and routes; NULL = one branch of plain steps without variables, or, where it has completed, nothing that a rerun would need.';
COMMENT ON COLUMN workflow.workflow_execution.priority IS 'Higher goes first; added to each task''s own.';
COMMENT ON COLUMN workflow.workflow_execution.depth IS 'How many workflows it is called through: 0 for one that workflow_start made.';
COMMENT ON COLUMN workflow.workflow_execution.due_at IS
  'When workflow_tick must look at it: the end of its time limit; or at once, where it ended or stopped while its parent or a child was busy.';
COMMENT ON COLUMN workflow.workflow_execution.created IS 'When the row was made.';
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
  timed_out boolean NOT NULL DEFAULT false,
  skipped boolean NOT NULL DEFAULT false,
  held boolean NOT NULL DEFAULT false,
  calls boolean NOT NULL DEFAULT false,
  created timestamptz NOT NULL DEFAULT now(),
  task_name text NOT NULL,
  action_ref text,
  execution bigint,
  lease bigint,
  task_index int,
  task_batch int,
  timeout_seconds int,
  signal text,
  context int[],
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
  PRIMARY KEY (id, part),
  CONSTRAINT workflow_task_execution_workflow_execution_fkey FOREIGN KEY (part, workflow_execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE,
  CONSTRAINT workflow_task_execution_execution_fkey FOREIGN KEY (part, execution)
    REFERENCES workflow.execution (part, id) ON DELETE CASCADE
) WITH (fillfactor = 30);
-- Each claim adds an entry, and a page of merged ones is expensive to clear before it.
CREATE INDEX workflow_task_execution_workflow_execution_idx ON workflow.workflow_task_execution (workflow_execution)
  WITH (deduplicate_items = off);
CREATE UNIQUE INDEX workflow_task_execution_execution_key ON workflow.workflow_task_execution (part, execution)
  WHERE execution IS NOT NULL;
CREATE INDEX workflow_task_execution_queue_idx ON workflow.workflow_task_execution (part, action_ref, queue_at, id)
  WHERE queue_at IS NOT NULL;
CREATE INDEX workflow_task_execution_due_idx ON workflow.workflow_task_execution (due_at, id, part) WHERE due_at IS NOT NULL;
-- By task, so that the next item of one is found whatever others wait.
CREATE INDEX workflow_task_execution_held_idx
  ON workflow.workflow_task_execution (part, workflow_execution, task_name, route, visit, task_index) WHERE held;
CREATE INDEX workflow_task_execution_retry_idx ON workflow.workflow_task_execution (next_retry_at, id)
  WHERE next_retry_at IS NOT NULL;
CREATE INDEX workflow_task_execution_timed_out_idx ON workflow.workflow_task_execution (id) WHERE timed_out;
COMMENT ON TABLE workflow.workflow_task_execution IS 'One row a task, one an item: the work that workers claim and report.';
COMMENT ON COLUMN workflow.workflow_task_execution.part IS 'The part of its workflow execution.';
COMMENT ON COLUMN workflow.workflow_task_execution.attempt IS 'How often it was claimed, called its workflow, or began to wait.';
COMMENT ON COLUMN workflow.workflow_task_execution.id IS 'Key: part << 48 | node << 40 | sequence.';
COMMENT ON COLUMN workflow.workflow_task_execution.workflow_execution IS 'The workflow execution it belongs to.';
COMMENT ON COLUMN workflow.workflow_task_execution.execution IS 'A child execution that does the work; NULL: this row is the work.';
COMMENT ON COLUMN workflow.workflow_task_execution.lease IS 'The token of its last claim: a report must carry it.';
COMMENT ON COLUMN workflow.workflow_task_execution.task_index IS 'Which item, from 0; NULL without with_items.';
COMMENT ON COLUMN workflow.workflow_task_execution.task_batch IS 'Which batch of items, from 0; NULL without batch_size.';
COMMENT ON COLUMN workflow.workflow_task_execution.route IS 'Which way led here, where several may: a task without join runs once per way.';
COMMENT ON COLUMN workflow.workflow_task_execution.visit IS 'How often the task ran before in a cycle.';
COMMENT ON COLUMN workflow.workflow_task_execution.priority IS 'Higher goes first: each step is worth a minute of waiting.';
COMMENT ON COLUMN workflow.workflow_task_execution.retry_count IS 'Retries already dispatched.';
COMMENT ON COLUMN workflow.workflow_task_execution.max_retries IS 'Retries allowed.';
COMMENT ON COLUMN workflow.workflow_task_execution.status IS
  'requested: waits for its time, its turn among items or its retry; scheduled: claimable, or waiting for its signal; running: leased, or its child execution goes on; the rest are ends.';
COMMENT ON COLUMN workflow.workflow_task_execution.timeout_seconds IS 'How long one attempt may run, or it may wait for its signal.';
COMMENT ON COLUMN workflow.workflow_task_execution.timed_out IS 'It ran longer.';
COMMENT ON COLUMN workflow.workflow_task_execution.skipped IS 'Its condition was false: it ended without having run.';
COMMENT ON COLUMN workflow.workflow_task_execution.held IS 'An item that waits for its turn.';
COMMENT ON COLUMN workflow.workflow_task_execution.calls IS 'Its action is a workflow: a child execution does the work, no worker can claim it.';
COMMENT ON COLUMN workflow.workflow_task_execution.created IS 'When the row was made.';
COMMENT ON COLUMN workflow.workflow_task_execution.updated IS 'When the row last changed.';
COMMENT ON COLUMN workflow.workflow_task_execution.queue_at IS
  'Its place in the queue: when it became claimable, moved ahead by its priority; NULL = not claimable.';
COMMENT ON COLUMN workflow.workflow_task_execution.due_at IS 'When workflow_tick must look at it: the end of its delay, wait, retry delay or timeout.';
COMMENT ON COLUMN workflow.workflow_task_execution.next_retry_at IS 'When its next retry is due; NULL = none is.';
COMMENT ON COLUMN workflow.workflow_task_execution.started_at IS 'When it was last claimed, called its workflow, or began to wait for its signal.';
COMMENT ON COLUMN workflow.workflow_task_execution.completed_at IS 'When it ended.';
COMMENT ON COLUMN workflow.workflow_task_execution.duration_ms IS 'From started_at to completed_at, in milliseconds.';
COMMENT ON COLUMN workflow.workflow_task_execution.task_name IS 'The task''s name in the definition.';
COMMENT ON COLUMN workflow.workflow_task_execution.action_ref IS
  'What a worker must do, or a workflow; NULL: a routing task, done by the engine, or one that waits for a signal.';
COMMENT ON COLUMN workflow.workflow_task_execution.signal IS 'The signal that it waits for; NULL: none.';
COMMENT ON COLUMN workflow.workflow_task_execution.context IS 'Which branches'' changes it sees, in order; NULL = the one branch there is.';
COMMENT ON COLUMN workflow.workflow_task_execution.input IS 'The action''s input, rendered.';
COMMENT ON COLUMN workflow.workflow_task_execution.result IS 'What the worker reported.';
COMMENT ON COLUMN workflow.workflow_task_execution.error IS 'What the worker reported of a failure.';

CREATE TABLE workflow.signal (
  part int NOT NULL,
  id bigint NOT NULL,
  workflow_execution bigint NOT NULL,
  task bigint,
  name text NOT NULL,
  key text,
  payload jsonb,
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (id, part),
  CONSTRAINT signal_workflow_execution_fkey FOREIGN KEY (part, workflow_execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX signal_key ON workflow.signal (part, workflow_execution, name, key) WHERE key IS NOT NULL;
CREATE INDEX signal_workflow_execution_idx ON workflow.signal (part, workflow_execution, name, id);
COMMENT ON TABLE workflow.signal IS 'Signals that were sent to executions, kept for tasks that will wait for them.';
COMMENT ON COLUMN workflow.signal.part IS 'The part of its workflow execution.';
COMMENT ON COLUMN workflow.signal.id IS 'Key: part << 48 | node << 40 | sequence.';
COMMENT ON COLUMN workflow.signal.workflow_execution IS 'The workflow execution that it was sent to.';
COMMENT ON COLUMN workflow.signal.task IS 'The task execution that it ended; NULL: no task has waited for it yet.';
COMMENT ON COLUMN workflow.signal.name IS 'What tasks wait for.';
COMMENT ON COLUMN workflow.signal.key IS 'Sending a signal of the same name with the same key again changes nothing.';
COMMENT ON COLUMN workflow.signal.payload IS 'The result of the task that waited.';
COMMENT ON COLUMN workflow.signal.created IS 'When the row was made.';
COMMENT ON COLUMN workflow.signal.updated IS 'When the row last changed.';

CREATE TABLE workflow.event (
  part int NOT NULL,
  id bigint NOT NULL,
  workflow_execution bigint NOT NULL,
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
  CONSTRAINT event_workflow_execution_fkey FOREIGN KEY (part, workflow_execution)
    REFERENCES workflow.workflow_execution (part, id) ON DELETE CASCADE
);
CREATE INDEX event_workflow_execution_idx ON workflow.event (part, workflow_execution, id);
COMMENT ON TABLE workflow.event IS
  'What happened to executions: what people did to them, failures, retries, time limits and ended leases; every step where pg_workflow.log_transitions is on. Nothing decides by it.';
COMMENT ON COLUMN workflow.event.part IS 'The part of its workflow execution.';
COMMENT ON COLUMN workflow.event.id IS 'Key: part << 48 | node << 40 | sequence. Orders the events of an execution.';
COMMENT ON COLUMN workflow.event.workflow_execution IS 'The workflow execution it happened to.';
COMMENT ON COLUMN workflow.event.task IS 'The task execution it is about; NULL: the whole, or all items of a task.';
COMMENT ON COLUMN workflow.event.task_index IS 'Which item.';
COMMENT ON COLUMN workflow.event.task_name IS 'That task''s name in the definition; NULL: it is about the whole.';
COMMENT ON COLUMN workflow.event.kind IS
  'pause, resume, cancel, rerun, signal: what somebody did; retrying, failed, timeout, abandoned, lease_expired: what became of a task, or of the whole; lease_refused: a call gave wrong or stale lease tokens, guessed or late; with pg_workflow.log_transitions also scheduled, started, completed, skipped, cancelled.';
COMMENT ON COLUMN workflow.event.message IS 'The reason that was given, the signal''s name, or what went wrong; of a long one the first 1000 characters.';
COMMENT ON COLUMN workflow.event.author IS 'Who did it: the role that called; of what a worker did or lost, its name and its role: worker-7 (role shop_worker); NULL: the engine.';
COMMENT ON COLUMN workflow.event.detail IS 'What else is known, as an object: attempt, type of the error, next_retry_at; what was named for a rerun; of lease_refused how many tokens were refused, and up to ten of the tasks.';
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
-- A row is soon written again: to compress its tasks would cost more than all else.
ALTER TABLE workflow.lease ALTER COLUMN tasks SET STORAGE EXTERNAL;
CREATE INDEX lease_expires_from_idx ON workflow.lease (expires_from, part);
-- Only what heartbeats have left behind: a claim's own row is found by its id.
CREATE INDEX lease_left_behind_idx ON workflow.lease (part, token) WHERE id <> token;
COMMENT ON TABLE workflow.lease IS
  'Who holds which tasks until when: one row a claim, so that a heartbeat writes one row whatever the claim''s size. Tasks carry its token; a row may outlive its tasks and is dropped at its end.';
COMMENT ON COLUMN workflow.lease.part IS 'The part of its tasks.';
COMMENT ON COLUMN workflow.lease.id IS 'Key: the token, or as random.';
COMMENT ON COLUMN workflow.lease.token IS
  'What its tasks and their reports carry: 52 random bits, in 16 digits. It is the id, except where a heartbeat has named only some of them, and they are in several rows.';
COMMENT ON COLUMN workflow.lease.worker IS 'Who claimed: the name that the worker chose.';
COMMENT ON COLUMN workflow.lease.role IS 'The database role that it claimed as.';
COMMENT ON COLUMN workflow.lease.expires_from IS
  'The last full ten seconds up to until. The index of ended leases knows this, so that a lease that goes on stays a HOT update mostly.';
COMMENT ON COLUMN workflow.lease.until IS 'When the tasks that still carry the token become claimable again.';
COMMENT ON COLUMN workflow.lease.tasks IS 'What was claimed.';
COMMENT ON COLUMN workflow.lease.created IS 'When the row was made.';
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
COMMENT ON COLUMN workflow.schedule.id IS 'Key.';
COMMENT ON COLUMN workflow.schedule.name IS 'Unique name.';
COMMENT ON COLUMN workflow.schedule.cron IS 'When: minute, hour, day of the month, month, day of the week.';
COMMENT ON COLUMN workflow.schedule.time_zone IS 'By which clock, a name of the IANA''s list.';
COMMENT ON COLUMN workflow.schedule.workflow_ref IS 'The workflow.';
COMMENT ON COLUMN workflow.schedule.parameters IS 'What it is started with.';
COMMENT ON COLUMN workflow.schedule.missed IS
  'What becomes of times that nobody saw come. skip: nothing; once: one start for all of them; all: a start for each.';
COMMENT ON COLUMN workflow.schedule.grace IS 'With missed skip: how late a start may be.';
COMMENT ON COLUMN workflow.schedule.overlap IS 'False: nothing is started while the execution before goes on.';
COMMENT ON COLUMN workflow.schedule.priority IS 'The priority of its executions.';
COMMENT ON COLUMN workflow.schedule.part IS 'The part of its executions.';
COMMENT ON COLUMN workflow.schedule.paused IS 'Nothing is started until it is resumed.';
COMMENT ON COLUMN workflow.schedule.next_at IS 'When it is due next; NULL: paused, or never.';
COMMENT ON COLUMN workflow.schedule.last_at IS 'The time for which it last started something.';
COMMENT ON COLUMN workflow.schedule.last_execution IS 'What it last started.';
COMMENT ON COLUMN workflow.schedule.last_error IS 'Why nothing was started when it was last due; NULL: something was.';
COMMENT ON COLUMN workflow.schedule.created IS 'When the row was made.';
COMMENT ON COLUMN workflow.schedule.updated IS 'When the row last changed.';

CREATE TABLE workflow.worker_parts (
  role regrole PRIMARY KEY,
  parts int[] NOT NULL CONSTRAINT worker_parts_parts_check CHECK (
    cardinality(parts) > 0 AND array_position(parts, NULL) IS NULL AND 0 <= ALL (parts) AND 1023 >= ALL (parts)),
  created timestamptz NOT NULL DEFAULT now(),
  updated timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE workflow.worker_parts IS
  'Roles that may work in some parts only, as workflow_grant was told. Nobody but the owner can read or write it.';
COMMENT ON COLUMN workflow.worker_parts.role IS 'The role. Roles that have its privileges are bound as well.';
COMMENT ON COLUMN workflow.worker_parts.parts IS 'The parts, in order.';
COMMENT ON COLUMN workflow.worker_parts.created IS 'When the row was made.';
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
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_execution_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_task_execution', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.workflow_task_execution_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.signal', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.signal_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.event', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.event_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.lease', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.schedule', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.schedule_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('workflow.worker_parts', '');
