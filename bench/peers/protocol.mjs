// Code shared by the drivers written in Node: the commands they receive (bench/README.md, "Comparison with other
// systems").
import { createInterface } from 'node:readline';

export const url = process.env.DATABASE_URL;
/** The payload of a job or a workflow. */
export const payload = { order: 12345, note: 'pack and send it' };
/** The payload of the first job in a row of this many: how many are to follow it. */
export const first = (steps) => ({ ...payload, following: steps - 1 });
/** The payload of the next job. */
export const next = (job) => ({ ...job, following: job.following - 1 });

/** Calls put for each thousand jobs, with their number, one after the other. */
export async function inThousands(jobs, put) {
  for (let left = jobs; left > 0; left -= 1000) await put(Math.min(left, 1000));
}

/** The keys of n jobs, numbered from 0, if there are this many keys. */
export const tenants = (n, keys) => Array.from({ length: n }, (_, number) => number % keys);

/** Adds jobs; those added at the same moment share one call of put, because separate calls would be separate commits. */
export function together(put) {
  let [waiting, call] = [[], null];
  const flush = () => {
    const jobs = waiting;
    [waiting, call] = [[], null];
    return put(jobs);
  };
  return (job) => {
    waiting.push(job);
    return (call ??= new Promise(setImmediate).then(flush));
  };
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Executes the command line; work returns how many jobs it has done. */
export async function drive({ prepare, enqueue, work }) {
  const [word, ...numbers] = process.argv.slice(2);
  const [jobs, steps, keys = 0] = numbers.map(Number);
  if (word === 'prepare') await prepare?.();
  else if (word === 'enqueue')
    await enqueue(jobs, steps, keys, async (putAll) => {
      const begin = performance.now();
      await putAll();
      say({ done: jobs, seconds: (performance.now() - begin) / 1000 });
    });
  else if (word === 'work') {
    const input = createInterface({ input: process.stdin });
    const stopped = new Promise((resolve) => input.once('close', resolve));
    const started = () => {
      process.stdout.write('ready\n');
      return new Promise((resolve) => input.once('line', resolve));
    };
    const [keys = 0] = numbers.map(Number);
    say({ done: await work(started, stopped, keys) });
  } else throw new Error(`${word}: say prepare, enqueue JOBS STEPS [KEYS], or work [KEYS]`);
}
