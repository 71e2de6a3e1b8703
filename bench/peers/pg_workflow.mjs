// pg_workflow, to which a job is a workflow of one task.
import { open, work } from './exchange.mjs';
import { drive, inThousands, payload } from './protocol.mjs';

await drive({
  async enqueue(jobs, steps, clock) {
    const db = await open();
    const start = 'SELECT count(*) FROM workflow_start_many($1, $2::jsonb[])';
    await clock(() => inThousands(jobs, (n) => db.query(start, [`bench.linear${steps}`, Array(n).fill(payload)])));
    await db.end();
  },
  work,
});
