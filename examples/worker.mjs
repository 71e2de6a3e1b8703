// A worker for the actions of deploy.yaml, over the JSON functions of the work protocol.
//
//     npm install pg
//     DATABASE_URL=postgres://... node worker.mjs
//
// * One call per round reports what has finished and claims the next tasks. Reports stay in an outbox until they are
//   acknowledged: after a lost connection they are sent again, and get the same answer.
// * A timer renews the leases of running tasks and passes what it learns on to the handlers: their signal is aborted when a
//   task's workflow is being stopped, or when another worker has the task.
// * A handler can record its progress (`task.note`): the next heartbeat stores it, and if the worker dies, the next attempt
//   continues from there.
// * While there is nothing to do, a separate connection announces that and listens, so that tasks are found as soon as they are
//   queued.
// * If @opentelemetry/api is installed, each attempt is a span: the first one a child of the span that started the execution,
//   later ones linked to it.
// * SIGTERM or SIGINT drains: nothing new is claimed, and running tasks are finished and reported. A second signal ends the
//   worker at once; its tasks are given to others when their leases expire.
//
// Settings: WORKER_NAME, WORKER_TASKS (8), WORKER_LEASE in seconds (30).
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';

const otel = await import('@opentelemetry/api').catch(() => null);

const { DATABASE_URL, WORKER_NAME = `node ${process.pid}` } = process.env;
const most = Number(process.env.WORKER_TASKS ?? 8);
const lease = Number(process.env.WORKER_LEASE ?? 30);

// A handler gets its task and a signal. What it throws is its failure; `may_retry`, `retry_in` (seconds) and `progress` of
// the error go into the report.
const handlers = {
  'ci.build': ({ attempt, input, execution }) => {
    if (attempt <= input.broken_builds) throw new Error('the registry does not answer');
    return { image: `registry/${input.app}:${execution}` };
  },
  'ci.lint': () => ({ warnings: 0 }),
  'ci.scan': ({ input }) => ({ critical: Number(input.image.includes('legacy')) }),
  'k8s.apply': ({ input }) => ({ url: `https://${input.region}.example.com` }),
  'k8s.rollback': () => ({}),
  'chat.post': ({ input }) => ({ posted: input.text }),
  // Long work: it heeds the signal (its task is then reported as cancelled), records its progress, and continues where an earlier
  // attempt left off.
  'demo.wait': async (task, signal) => {
    for (let seconds = task.progress?.seconds ?? 0; seconds < task.input.seconds; task.note = { seconds: ++seconds })
      await sleep(1000, undefined, { signal });
    return { waited: task.input.seconds };
  },
};

const running = new Map(); // task and lease token: the task, and the controller of its handler
let outbox = [];
let draining = false;
let wake = () => {};
let hinted = false; // whether there may be work
let announce = () => {};
const key = ({ task, lease_token }) => `${task} ${lease_token}`;

async function handle(task, signal) {
  const { task: id, lease_token } = task;
  let outcome = { task: id, lease_token, status: 'completed' };
  try {
    outcome.result = (await traced(task, () => handlers[task.action](task, signal))) ?? null;
    check(outcome);
  } catch (error) {
    const { name = 'Error', message = String(error), may_retry, retry_in, progress } = error ?? {};
    const status = signal.aborted && name === 'AbortError' ? 'cancelled' : 'failed';
    outcome = { task: id, lease_token, status, error: failure(name, message), may_retry, retry_in, progress };
    try {
      check(outcome);
    } catch ({ name, message }) {
      outcome = { task: id, lease_token, status: 'failed', error: failure(name, message) };
    }
  }
  if (running.delete(key(task))) outbox.push(outcome); // else the lease is lost
  wake();
}

// Throws if PostgreSQL could not store an outcome, which would spoil the reports beside it: JSON.stringify writes lone surrogates, and
// only these, as escapes.
function check(outcome) {
  if (/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(JSON.stringify(outcome)))
    throw new Error('the outcome contains a NUL character or half of a character');
}

const failure = (type, message) => ({ type, message: message.toWellFormed().replaceAll('\0', '\ufffd') });

// Reports, and claims unless the worker drains. Returns whether there was anything.
async function exchange(db) {
  const sent = outbox.slice(0, 1000);
  const room = draining ? 0 : most - running.size;
  if (!room && !sent.length) return false;
  const { rows: [{ said }] } = room
    ? await db.query('SELECT workflow_finish_and_claim_json($1, $2, $3, $4, make_interval(secs => $5)) AS said', [
        WORKER_NAME, JSON.stringify(sent), room, Object.keys(handlers), lease])
    : await db.query("SELECT jsonb_build_object('answers', workflow_finish_json($1), 'tasks', '[]'::jsonb) AS said", [
        JSON.stringify(sent)]);
  outbox = outbox.slice(sent.length);
  said.answers.forEach(({ task, code, message }, place) => {
    if (code) console.error(task, code, message);
    // A result that is refused would be refused each time that the task is executed.
    const { lease_token, error } = sent[place];
    if (['WF613', 'WF614'].includes(code) && !error)
      outbox.push({ task: sent[place].task, lease_token, status: 'failed', error: failure('report', message) });
  });
  for (const task of said.tasks) {
    const controller = new AbortController();
    running.set(key(task), { task, controller });
    handle(task, controller.signal);
  }
  return sent.length + said.tasks.length > 0;
}

// Renews the leases of running tasks.
async function renew(db) {
  const held = [...running.values()];
  const beat = (progress) => db.query(
    `SELECT state FROM workflow_heartbeat($1, $2, make_interval(secs => $3), $4::jsonb[])
     WITH ORDINALITY AS h (task, state, place) ORDER BY place`,
    [held.map(({ task }) => task.task), held.map(({ task }) => task.lease_token), lease, progress]);
  const progress = held.map(({ task }) => (task.note === undefined ? null : JSON.stringify(task.note)));
  const { rows } = await beat(progress).catch((error) => {
    if (!error.severity) throw error; // not the server's answer
    // Progress that PostgreSQL cannot store must not cost the tasks their leases.
    console.error(error.message);
    for (const { task } of held) delete task.note;
    return beat(null);
  });
  rows.forEach(({ state }, place) => {
    if (state === 'held') return;
    const { task, controller } = held[place];
    if (state === 'lost') running.delete(key(task));
    controller.abort();
  });
}

// Runs a handler within the span of its attempt. Does nothing more without OpenTelemetry.
async function traced(task, run) {
  if (!otel) return run();
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace, context } = otel;
  const [, traceId, spanId, flags] = task.traceparent?.split('-') ?? [];
  const start = traceId && { traceId, spanId, traceFlags: parseInt(flags, 16), isRemote: true };
  const isFirst = task.attempt === 1;
  const parent = start && isFirst ? trace.setSpanContext(ROOT_CONTEXT, start) : ROOT_CONTEXT;
  const span = trace.getTracer('pg_workflow').startSpan(`process ${task.action}`, {
    kind: SpanKind.CONSUMER,
    links: start && !isFirst ? [{ context: start }] : [],
    attributes: {
      'messaging.system': 'pg_workflow', 'messaging.operation.name': 'process', 'messaging.operation.type': 'process',
      'messaging.destination.name': task.action, 'messaging.message.id': task.task, 'messaging.client.id': WORKER_NAME,
      'pg_workflow.execution': task.execution, 'pg_workflow.task': task.task_name, 'pg_workflow.attempt': task.attempt,
      ...(task.workflow_ref && { 'pg_workflow.workflow': task.workflow_ref }),
    },
  }, parent);
  try {
    return await context.with(trace.setSpan(parent, span), run);
  } catch (error) {
    span.setAttribute('error.type', error?.name ?? 'Error');
    span.setStatus({ code: SpanStatusCode.ERROR, message: String(error?.message ?? error) });
    throw error;
  } finally {
    span.end();
  }
}

// Announces that the worker is idle, whenever it is, and wakes it when there is work, until the connection is lost.
async function listen(db) {
  let isAnnounced = false;
  let before = Promise.resolve();
  // One after another: a connection executes one query at a time. A lost connection is noticed by its end.
  const say = (actions) => (before = before.then(() => db.query('SELECT workflow_announce_idle($1)', [actions])).catch(() => {}));
  const hint = () => {
    hinted = true;
    wake();
  };
  const lost = new Promise((_, reject) => db.once('end', () => reject(new Error('listening ended'))));
  lost.catch(() => {}); // it may come after another error
  db.on('notification', async () => {
    hint();
    if (isAnnounced) await say([]);
    await sleep(12); // longer than the server withholds a hint that it has just sent
    isAnnounced = false;
  });
  await db.query('LISTEN pg_workflow');
  announce = async () => {
    if (isAnnounced) return;
    isAnnounced = true;
    await say(Object.keys(handlers));
    hint(); // what was queued before
  };
  await lost;
}

// Runs something over a connection, again and again over new ones until it returns.
async function connected(work) {
  for (;;) {
    const db = new pg.Client({ connectionString: DATABASE_URL });
    db.on('error', () => {}); // the next query reports it too
    try {
      await db.connect();
      return await work(db);
    } catch (error) {
      console.error(error.message);
      await sleep(100 + 400 * Math.random());
    } finally {
      await db.end().catch(() => {});
    }
  }
}

for (const name of ['SIGTERM', 'SIGINT'])
  process.on(name, () => {
    if (draining) process.exit(1);
    draining = true;
    wake();
  });

const isDone = () => draining && !running.size && !outbox.length;
connected(listen);
connected(async (db) => {
  for (;;) {
    await sleep((lease * 1000) / 3, undefined, { ref: false });
    await renew(db);
  }
});
await connected(async (db) => {
  while (!isDone()) {
    if (await exchange(db)) continue;
    if (!draining && (await db.query('SELECT workflow_tick() AS done')).rows[0].done) continue;
    if (!draining && !hinted) announce();
    if (!outbox.length && !hinted && !isDone())
      await Promise.race([new Promise((resolve) => (wake = resolve)), sleep(100 + 200 * Math.random())]);
    hinted = false;
  }
});
process.exit(0);
