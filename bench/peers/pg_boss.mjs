// pg-boss, with what its documentation offers for throughput (https://pgboss.io/api/workers): batches, and no pause
// between them while they come full.
import { PgBoss } from 'pg-boss';
import { drive, inThousands, payload, url } from './protocol.mjs';

const queue = 'job';

async function open() {
  const boss = new PgBoss({ connectionString: url });
  boss.on('error', console.error);
  return boss.start();
}

await drive({
  async prepare() {
    const boss = await open();
    await boss.createQueue(queue);
    await boss.stop();
  },

  async enqueue(jobs, _steps, clock) {
    const boss = await open();
    await clock(() => inThousands(jobs, (n) => boss.insert(queue, Array(n).fill({ data: payload }))));
    await boss.stop();
  },

  async work(started, stopped) {
    let done = 0;
    const boss = await open();
    await started();
    await boss.work(queue, { batchSize: 500, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      done += jobs.length;
    });
    await stopped;
    await boss.stop();
    return done;
  },
});
