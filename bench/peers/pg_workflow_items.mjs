// pg_workflow, with jobs that are enqueued together as the items of one workflow.
import { open, work } from './exchange.mjs';
import { drive, inThousands, payload } from './protocol.mjs';

await drive({
  async enqueue(jobs, _steps, _keys, clock) {
    const db = await open();
    const start = "SELECT workflow_start('bench.jobs', $1)";
    await clock(() => inThousands(jobs, (n) => db.query(start, [{ jobs: Array(n).fill(payload) }])));
    await db.end();
  },
  work,
});
