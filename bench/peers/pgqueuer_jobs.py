"""pgqueuer, as its pages on drivers, benchmarks and tuning recommend (https://janbjorge.github.io/pgqueuer): asyncpg,
which is faster there than psycopg, on one connection of the consumer's own; large batches, because jobs are short; its
settings for autovacuum."""
import asyncio
import json

import asyncpg
import uvloop
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from protocol import URL, clock, drive, first, following, started, stopped, thousands, together

BATCH = 500


async def prepare():
    queries = Queries(AsyncpgDriver(await asyncpg.connect(URL)))
    await queries.install()
    await queries.optimize_autovacuum()


async def enqueue(jobs, steps):
    queries = Queries(AsyncpgDriver(await asyncpg.connect(URL)))
    with clock(jobs):
        for number in thousands(jobs):
            await put(queries, [first(steps)] * number)


async def put(queries, jobs):
    payloads = [json.dumps(job).encode() for job in jobs]
    await queries.enqueue(["job"] * len(jobs), payloads, [0] * len(jobs))


async def work():
    done = 0
    driver = AsyncpgDriver(await asyncpg.connect(URL))
    consumer, queries = PgQueuer(driver), Queries(driver)
    add = together(lambda jobs: put(queries, jobs))

    @consumer.entrypoint("job")
    async def work_on(job):
        nonlocal done
        done += 1
        payload = json.loads(job.payload)
        if payload["following"]:
            await add(following(payload))

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
