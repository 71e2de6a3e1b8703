// Code shared by the drivers that work on pg_workflow's tables.
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { inThousands, payload, tenants, url } from './protocol.mjs';

pg.types.setTypeParser(pg.types.builtins.INT8, String); // ids are larger than a number can be exact

const handlers = { 'bench.step': ({ input }) => input };
const exchange = `SELECT task, lease_token, state, code, message, action, input FROM workflow_finish_and_claim($1,
  ARRAY(SELECT o FROM jsonb_populate_recordset(NULL::workflow.outcome, $2) o), max_tasks => 1000, actions => $3)
  WHERE state = 'claimed' OR code IS NOT NULL`;

export async function open() {
  const db = new pg.Client({ connectionString: url });
  await db.connect();
  return db;
}

/** Starts a workflow of this many steps for each job, or one under a limit by key. */
export async function enqueue(jobs, steps, keys, clock) {
  const db = await open();
  const start = 'SELECT count(*) FROM workflow_start_many($1, $2::jsonb[])';
  const ref = keys ? 'bench.keyed' : `bench.linear${steps}`;
  const parameters = (n) => (keys ? tenants(n, keys).map((tenant) => ({ ...payload, tenant })) : Array(n).fill(payload));
  await clock(() => inThousands(jobs, (n) => db.query(start, [ref, parameters(n)])));
  await db.end();
}

/** A worker in plain SQL, like examples/worker.mjs: one call per round, which reports finished tasks and claims the next ones. */
export async function work(started, stopped) {
  let stopping = false;
  stopped.then(() => (stopping = true));
  const db = await open();
  await started();
  let [done, outbox] = [0, []];
  while (outbox.length || !stopping) {
    const values = [`node ${process.pid}`, JSON.stringify(outbox), Object.keys(handlers)];
    const { rows } = await db.query({ name: 'exchange', text: exchange, values });
    for (const row of rows) if (row.code) throw new Error(`${row.code}: ${row.message}`);
    done += outbox.length;
    outbox = rows
      .filter((row) => row.state === 'claimed')
      .map((row) => ({
        task: row.task,
        lease_token: row.lease_token,
        status: 'completed',
        result: handlers[row.action](row),
      }));
    if (!outbox.length) await sleep(50 + 100 * Math.random());
  }
  await db.end();
  return done;
}
