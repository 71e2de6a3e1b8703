// A worker for the actions of deploy.yaml, in plain SQL.
//
//     npm install pg
//     DATABASE_URL=postgres://... node worker.mjs
//
// One call per round: it reports finished tasks and claims the next ones. After a lost connection, unanswered reports are
// resent and get the same answer. Tasks that take longer than a lease need workflow_heartbeat in parallel.
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';

pg.types.setTypeParser(pg.types.builtins.INT8, String); // ids exceed the range of exact numbers

const handlers = {
  'ci.build': ({ attempt, input, workflow_execution }) => {
    if (attempt <= input.broken_builds) throw new Error('the registry does not answer');
    return { image: `registry/${input.app}:${workflow_execution}` };
  },
  'ci.lint': () => ({ warnings: 0 }),
  'ci.scan': ({ input }) => ({ critical: Number(input.image.includes('legacy')) }),
  'k8s.apply': ({ input }) => ({ url: `https://${input.region}.example.com` }),
  'k8s.rollback': () => ({}),
  'chat.post': ({ input }) => ({ posted: input.text }),
};
const outcomes = (n) => `ARRAY(SELECT o FROM jsonb_populate_recordset(NULL::workflow.outcome, $${n}) o)`;
const exchange = `SELECT * FROM workflow_finish_and_claim($1, ${outcomes(2)},
  max_tasks => 10, actions => $3, lease => '30 seconds') WHERE state = 'claimed' OR code IS NOT NULL`;
const finish = `SELECT * FROM workflow_finish(${outcomes(1)})`;

async function handle(task) {
  const { task: id, lease_token } = task;
  try {
    await sleep(50); // stands in for real work
    return { task: id, lease_token, status: 'completed', result: await handlers[task.action](task) };
  } catch (error) {
    return { task: id, lease_token, status: 'failed', error: { type: error.name, message: error.message } };
  }
}

let stopping = false;
for (const name of ['SIGTERM', 'SIGINT']) process.on(name, () => (stopping = true));

const name = `node ${process.pid}`;
let outbox = [];
while (outbox.length || !stopping) {
  const db = new pg.Client({ connectionString: process.env.DATABASE_URL });
  db.on('error', () => {}); // the next query reports it too
  try {
    await db.connect();
    while (!stopping) {
      const { rows } = await db.query(exchange, [name, JSON.stringify(outbox), Object.keys(handlers)]);
      for (const row of rows) if (row.code) console.error(row.task, row.code, row.message);
      outbox = await Promise.all(rows.filter((row) => row.state === 'claimed').map(handle));
      if (!outbox.length && !(await db.query('SELECT workflow_tick() AS done')).rows[0].done)
        await sleep(100 + 200 * Math.random());
    }
    await db.query(finish, [JSON.stringify(outbox)]);
    outbox = [];
  } catch (error) {
    console.error(error.message);
    await sleep(500 + 1000 * Math.random());
  } finally {
    await db.end().catch(() => {});
  }
}
