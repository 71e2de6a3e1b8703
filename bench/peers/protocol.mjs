// What the drivers written in Node have in common: the words they are told (bench/README.md, "Beside other systems").
import { createInterface } from 'node:readline';

export const url = process.env.DATABASE_URL;
/** What a job or a workflow gets. */
export const payload = { order: 12345, note: 'pack and send it' };

/** Calls put for each thousand jobs, with their number, one after the other. */
export async function inThousands(jobs, put) {
  for (let left = jobs; left > 0; left -= 1000) await put(Math.min(left, 1000));
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

/** Does what the command line says; work gives how many jobs it has done. */
export async function drive({ prepare, enqueue, work }) {
  const [word, jobs, steps] = process.argv.slice(2);
  if (word === 'prepare') await prepare();
  else if (word === 'enqueue')
    await enqueue(Number(jobs), Number(steps), async (putAll) => {
      const begin = performance.now();
      await putAll();
      say({ done: Number(jobs), seconds: (performance.now() - begin) / 1000 });
    });
  else if (word === 'work') {
    const input = createInterface({ input: process.stdin });
    const stopped = new Promise((resolve) => input.once('close', resolve));
    const started = () => {
      process.stdout.write('ready\n');
      return new Promise((resolve) => input.once('line', resolve));
    };
    say({ done: await work(started, stopped) });
  } else throw new Error(`${word}: say prepare, enqueue JOBS STEPS, or work`);
}
