// A worker for the actions of deploy.yaml, over the JSON functions of the work protocol.
//
//     npm install pg
//     DATABASE_URL=postgres://... node worker.mjs
//
// * One call per round reports what has finished and claims the next tasks. Reports stay in an outbox until they are
//   answered: after a lost connection they are sent again, and get the same answer.
// * A timer renews the leases of running tasks. What it hears is passed on to the handlers: their signal is aborted when a
//   task's workflow is being stopped, or when another worker has the task.
// * SIGTERM or SIGINT drains: nothing new is claimed, what runs is finished and reported. A second one ends the worker at
//   once; its tasks are given to others when their leases expire.
//
// Settings: WORKER_NAME, WORKER_TASKS (8), WORKER_LEASE in seconds (30).
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';

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
  // Work that takes long heeds the signal: its task is then reported as cancelled.
  'demo.wait': async ({ input }, signal) => {
    await sleep(input.seconds * 1000, undefined, { signal });
    return { waited: input.seconds };
  },
};

const running = new Map(); // task and lease token: the task, and the controller of its handler
let outbox = [];
let draining = false;
let wake = () => {};
const key = ({ task, lease_token }) => `${task} ${lease_token}`;

async function handle(task, signal) {
  const { task: id, lease_token } = task;
  let outcome = { task: id, lease_token, status: 'completed' };
  try {
    outcome.result = (await handlers[task.action](task, signal)) ?? null;
    // What PostgreSQL cannot store must not spoil the reports beside it.
    if (/(?<!\\)(?:\\\\)*\\u0000/.test(JSON.stringify(outcome))) throw new Error('the result contains a NUL character');
  } catch (error) {
    const { name = 'Error', message = String(error), may_retry, retry_in, progress } = error ?? {};
    const status = signal.aborted && name === 'AbortError' ? 'cancelled' : 'failed';
    const failure = { type: name, message: message.replaceAll('\0', '\ufffd') };
    outcome = { task: id, lease_token, status, error: failure, may_retry, retry_in, progress };
  }
  if (running.delete(key(task))) outbox.push(outcome); // else the lease is lost
  wake();
}

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
  for (const { task, code, message } of said.answers) if (code) console.error(task, code, message);
  outbox = outbox.slice(sent.length);
  for (const task of said.tasks) {
    const controller = new AbortController();
    running.set(key(task), { task, controller });
    handle(task, controller.signal);
  }
  return sent.length + said.tasks.length > 0;
}

// Renews the leases of what runs.
async function renew(db) {
  const held = [...running.values()];
  const { rows } = await db.query(
    'SELECT state FROM workflow_heartbeat($1, $2, make_interval(secs => $3)) WITH ORDINALITY AS h (task, state, place) ORDER BY place',
    [held.map(({ task }) => task.task), held.map(({ task }) => task.lease_token), lease]);
  rows.forEach(({ state }, place) => {
    if (state === 'held') return;
    const { task, controller } = held[place];
    if (state === 'lost') running.delete(key(task));
    controller.abort();
  });
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
    if (!outbox.length && !isDone()) await Promise.race([new Promise((resolve) => (wake = resolve)), sleep(100 + 200 * Math.random())]);
  }
});
process.exit(0);
