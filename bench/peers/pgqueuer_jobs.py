"""pgqueuer, as its pages on drivers, benchmarks and tuning have it (https://janbjorge.github.io/pgqueuer): asyncpg, which is
faster there than psycopg, on one connection of the consumer's own; batches that are large, since jobs are short; its
settings for autovacuum."""
import asyncio
import json

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from protocol import PAYLOAD, URL, clock, drive, started, stopped, thousands

BATCH = 500


async def prepare():
    queries = Queries(AsyncpgDriver(await asyncpg.connect(URL)))
    await queries.install()
    await queries.optimize_autovacuum()


async def enqueue(jobs, _steps):
    queries = Queries(AsyncpgDriver(await asyncpg.connect(URL)))
    payload = json.dumps(PAYLOAD).encode()
    with clock(jobs):
        for number in thousands(jobs):
            await queries.enqueue(["job"] * number, [payload] * number, [0] * number)


async def work():
    done = 0
    consumer = PgQueuer(AsyncpgDriver(await asyncpg.connect(URL)))

    @consumer.entrypoint("job")
    async def job(_job):
        nonlocal done
        done += 1

    started()
    running = asyncio.create_task(consumer.run(batch_size=BATCH))
    await asyncio.to_thread(stopped.wait)
    consumer.shutdown.set()
    await running
    return done


if __name__ == "__main__":
    drive(
        prepare=lambda: uvloop.run(prepare()),
        enqueue=lambda jobs, steps: uvloop.run(enqueue(jobs, steps)),
        work=lambda: uvloop.run(work()),
    )
