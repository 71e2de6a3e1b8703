// pg-boss, with what its documentation recommends for throughput (https://pgboss.io/api/workers): batches, and no pause
// between them while they are full.
import { PgBoss } from 'pg-boss';
import { drive, first, inThousands, next, url } from './protocol.mjs';

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

  async enqueue(jobs, steps, clock) {
    const boss = await open();
    await clock(() => inThousands(jobs, (n) => boss.insert(queue, Array(n).fill({ data: first(steps) }))));
    await boss.stop();
  },

  async work(started, stopped) {
    let done = 0;
    const boss = await open();
    await started();
    await boss.work(queue, { batchSize: 500, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5 }, async (jobs) => {
      done += jobs.length;
      const following = jobs.filter(({ data }) => data.following).map(({ data }) => ({ data: next(data) }));
      if (following.length) await boss.insert(queue, following);
    });
    await stopped;
    await boss.stop();
    return done;
  },
});
