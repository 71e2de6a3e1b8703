// Not a system: writes what a job of pg_workflow writes, with a function of four statements instead of the engine
// (rows_by_hand.sql). It shows the share of a job's rows in its cost. Enqueues as pg_workflow does.
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { enqueue, open } from './exchange.mjs';
import { drive } from './protocol.mjs';

await drive({
  async prepare() {
    const db = await open();
    await db.query(await readFile(new URL('rows_by_hand.sql', import.meta.url), 'utf8'));
    await db.end();
  },

  enqueue,

  async work(started, stopped) {
    let stopping = false;
    stopped.then(() => (stopping = true));
    const db = await open();
    await started();
    let [done, hand] = [0, []];
    while (hand.length || !stopping) {
      const [tasks, runs, results] = ['task', 'run', 'input'].map((column) => hand.map((row) => row[column]));
      const text = 'SELECT * FROM rows_by_hand($1, $2, $3::jsonb[], 1000)';
      ({ rows: hand } = await db.query({ name: 'exchange', text, values: [tasks, runs, results] }));
      done += tasks.length;
      if (!hand.length) await sleep(50 + 100 * Math.random());
    }
    await db.end();
    return done;
  },
});
