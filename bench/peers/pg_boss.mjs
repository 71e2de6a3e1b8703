// pg-boss, with what its documentation recommends for throughput (https://pgboss.io/api/workers): batches, and no pause
// between them while they are full.
import { PgBoss } from 'pg-boss';
import { drive, first, inThousands, next, tenants, url } from './protocol.mjs';

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

  async enqueue(jobs, steps, keys, clock) {
    const boss = await open();
    const data = first(steps);
    const all = (n) => (keys ? tenants(n, keys).map((id) => ({ data, group: { id: `${id}` } })) : Array(n).fill({ data }));
    await clock(() => inThousands(jobs, (n) => boss.insert(queue, all(n))));
    await boss.stop();
  },

  async work(started, stopped, keys) {
    let done = 0;
    // With one job per key at once, a large batch is never full, and it would pause after each batch.
    const limit = keys ? { groupConcurrency: 1, batchSize: keys / 2 } : {};
    const boss = await open();
    await started();
    await boss.work(queue, { batchSize: 500, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, ...limit }, async (jobs) => {
      done += jobs.length;
      const following = jobs.filter(({ data }) => data.following).map(({ data }) => ({ data: next(data) }));
      if (following.length) await boss.insert(queue, following);
    });
    await stopped;
    await boss.stop();
    return done;
  },
});
