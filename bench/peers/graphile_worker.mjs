// graphile-worker, with the settings of its documentation's own figures (https://worker.graphile.org/docs/performance):
// batches of 500, and completions in batches without delay. A whole batch at once, so that its jobs can enqueue their
// successors together.
import { drive, first, inThousands, next, tenants, together, url } from './protocol.mjs';

process.env.NO_LOG_SUCCESS = '1'; // read when the library is loaded
const { Logger, makeWorkerUtils, run, runMigrations } = await import('graphile-worker');

const options = {
  preset: {
    worker: {
      connectionString: url,
      concurrentJobs: 500,
      maxPoolSize: 25,
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  },
  logger: new Logger(() => (level, message) => level === 'error' && console.error(message)),
  noHandleSignals: true,
};

await drive({
  prepare: () => runMigrations(options),

  async enqueue(jobs, steps, keys, clock) {
    const utils = await makeWorkerUtils(options);
    const job = { identifier: 'job', payload: first(steps) };
    // The jobs of a named queue run one after the other.
    const all = (n) => (keys ? tenants(n, keys).map((id) => ({ ...job, queueName: `${id}` })) : Array(n).fill(job));
    await clock(() => inThousands(jobs, (n) => utils.addJobs(all(n))));
    await utils.release();
  },

  async work(started, stopped) {
    let done = 0;
    const utils = await makeWorkerUtils(options);
    const add = together((jobs) => utils.addJobs(jobs));
    const job = async (payload) => {
      done++;
      if (payload.following) await add({ identifier: 'job', payload: next(payload) });
    };
    await started();
    const runner = await run({ ...options, taskList: { job }, parsedCronItems: [] });
    await stopped;
    await runner.stop();
    await utils.release();
    return done;
  },
});
