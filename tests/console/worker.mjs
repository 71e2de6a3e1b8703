// A worker process of the console's tests: it processes orders (scene.mjs) until it is killed, and ticks like every worker's loop.
//
// DATABASE_URL; NAME; ACTIONS, separated by commas; FAILING: whether the bank and the store are away; HOLD: claims this many tasks and does
// nothing with them, like a worker that hangs.
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import { outcome } from './scene.mjs';

const { DATABASE_URL, NAME, ACTIONS, FAILING, HOLD } = process.env;
const actions = ACTIONS.split(',');
const db = new pg.Client(DATABASE_URL);
await db.connect();

if (HOLD) {
  for (let held = 0; held < Number(HOLD); await sleep(50)) {
    const { rows } = await db.query(`SELECT FROM workflow_claim($1, $2, $3, lease => '3 seconds')`, [NAME, Number(HOLD) - held, actions]);
    held += rows.length;
  }
  console.log('holding');
  await sleep(1 << 30);
}

let outcomes = [];
let ticked = 0;
for (;;) {
  const { rows: [{ said }] } = await db.query('SELECT workflow_finish_and_claim_json($1, $2, 200, $3) AS said', [NAME, JSON.stringify(outcomes), actions]);
  outcomes = said.tasks.map((task) => outcome(task, FAILING === 'yes'));
  if (Date.now() - ticked > 500) {
    ticked = Date.now();
    await db.query('SELECT workflow_tick()');
  }
  if (!outcomes.length) await sleep(100);
}
