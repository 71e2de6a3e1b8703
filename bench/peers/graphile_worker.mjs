// graphile-worker, with the settings of its documentation's own figures (https://worker.graphile.org/docs/performance):
// batches of 500, and completions in batches without delay. A whole batch at once, so that its jobs can enqueue their
// successors together.
import { drive, first, inThousands, next, together, url } from './protocol.mjs';

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

  async enqueue(jobs, steps, clock) {
    const utils = await makeWorkerUtils(options);
    await clock(() => inThousands(jobs, (n) => utils.addJobs(Array(n).fill({ identifier: 'job', payload: first(steps) }))));
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
