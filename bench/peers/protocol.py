"""Code shared by the drivers in Python: the commands they receive (bench/README.md, "Comparison with other systems")."""
import asyncio
import contextlib
import json
import os
import sys
import threading
import time

URL = os.environ["DATABASE_URL"]
# Payload of a job or a workflow.
PAYLOAD = {"order": 12345, "note": "pack and send it"}

# Set when there is nothing left to do.
stopped = threading.Event()


def first(steps):
    """Returns the payload of the first of a sequence of jobs: the number of jobs to follow."""
    return {**PAYLOAD, "following": steps - 1}


def following(job):
    """Returns the payload of the next job."""
    return {**job, "following": job["following"] - 1}


def thousands(jobs):
    """Returns the sizes of the batches in which to enqueue jobs."""
    return [min(1000, jobs - start) for start in range(0, jobs, 1000)]


def together(put):
    """Adds jobs, with one call of put for those added at the same moment: separate calls would be separate commits."""
    waiting, call = [], None

    async def flush():
        nonlocal waiting, call
        await asyncio.sleep(0)
        jobs, waiting, call = waiting, [], None
        await put(jobs)

    async def add(job):
        nonlocal call
        waiting.append(job)
        call = call or asyncio.ensure_future(flush())
        await call

    return add


@contextlib.contextmanager
def clock(jobs):
    begin = time.perf_counter()
    yield
    print(json.dumps({"done": jobs, "seconds": time.perf_counter() - begin}))


def started():
    """Says that the worker is ready, and waits for the start signal."""
    print("ready", flush=True)
    sys.stdin.readline()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()


def drive(enqueue, work, prepare=None):
    """Runs the command given on the command line; work returns how many jobs it has done."""
    match sys.argv[1:]:
        case ["prepare"] if prepare:
            prepare()
        case ["enqueue", jobs, steps]:
            enqueue(int(jobs), int(steps))
        case ["work"]:
            print(json.dumps({"done": work()}))
        case other:
            sys.exit(f"{other}: say prepare, enqueue JOBS STEPS, or work")
