"""procrastinate, with the concurrency of its documentation's example, and as many connections as its page on pool sizes
recommends for short jobs (https://procrastinate.readthedocs.io/en/stable/howto/production/concurrency.html,
https://procrastinate.readthedocs.io/en/stable/discussions.html)."""
import asyncio
import logging

import procrastinate
from protocol import URL, clock, drive, first, following, started, stopped, thousands, together

logging.disable(logging.WARNING)
CONCURRENCY = 30
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL, max_size=CONCURRENCY + 1))
done = 0


@app.task(name="job")
async def job(**payload):
    global done
    done += 1
    if payload["following"]:
        await add(following(payload))


add = together(lambda jobs: job.batch_defer_async(*jobs))


async def prepare():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()


async def enqueue(jobs, steps):
    async with app.open_async():
        with clock(jobs):
            for number in thousands(jobs):
                await job.batch_defer_async(*[first(steps)] * number)


async def work():
    async with app.open_async():
        started()
        worker = asyncio.create_task(
            app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False)
        )
        await asyncio.to_thread(stopped.wait)
        worker.cancel()
        await asyncio.wait([worker])
    return done


if __name__ == "__main__":
    drive(
        prepare=lambda: asyncio.run(prepare()),
        enqueue=lambda jobs, steps: asyncio.run(enqueue(jobs, steps)),
        work=lambda: asyncio.run(work()),
    )
