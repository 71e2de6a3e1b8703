// How soon an idle graphile-worker with default settings gets a job that is enqueued, measured like ours in bench/src/bin/wake.rs.
// Prints the median and the 95th percentile, in milliseconds.
import { setTimeout as sleep } from 'node:timers/promises';
import { url } from './protocol.mjs';

process.env.NO_LOG_SUCCESS = '1'; // read when the library is loaded
const { Logger, makeWorkerUtils, run, runMigrations } = await import('graphile-worker');

const options = {
  connectionString: url,
  logger: new Logger(() => (level, message) => level === 'error' && console.error(message)),
  noHandleSignals: true,
};
await runMigrations(options);
let came = () => {};
const runner = await run({ ...options, taskList: { job: async () => came(performance.now()) }, parsedCronItems: [] });
const utils = await makeWorkerUtils(options);
const times = [];
for (let n = 0; n < 300; n++) {
  await sleep(Math.random() * 200);
  const claimed = new Promise((resolve) => (came = resolve));
  await utils.addJob('job', {});
  const committed = performance.now();
  times.push(Math.max(0, (await claimed) - committed));
}
await runner.stop();
await utils.release();
times.sort((a, b) => a - b);
process.stdout.write(`${times[times.length / 2].toFixed(2)} ${times[(times.length * 95) / 100].toFixed(2)}\n`);
process.exit(0);
