"""What the drivers written in Python have in common: the words they are told (bench/README.md, "Comparison with other systems")."""
import asyncio
import contextlib
import json
import os
import sys
import threading
import time

URL = os.environ["DATABASE_URL"]
# What a job or a workflow gets.
PAYLOAD = {"order": 12345, "note": "pack and send it"}

# Set when there is nothing left to do.
stopped = threading.Event()


def first(steps):
    """What the first job of a row of so many gets: how many are to follow it."""
    return {**PAYLOAD, "following": steps - 1}


def following(job):
    """What the job after gets."""
    return {**job, "following": job["following"] - 1}


def thousands(jobs):
    """The numbers of jobs to put in at once, one after the other."""
    return [min(1000, jobs - start) for start in range(0, jobs, 1000)]


def together(put):
    """Adds jobs, those of the same moment by one call of put: a call for each would be a commit for each."""
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
    """Says that all is prepared, and waits for the word to begin."""
    print("ready", flush=True)
    sys.stdin.readline()
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()


def drive(enqueue, work, prepare=None):
    """Does what the command line says; work gives how many jobs it has done."""
    match sys.argv[1:]:
        case ["prepare"] if prepare:
            prepare()
        case ["enqueue", jobs, steps]:
            enqueue(int(jobs), int(steps))
        case ["work"]:
            print(json.dumps({"done": work()}))
        case other:
            sys.exit(f"{other}: say prepare, enqueue JOBS STEPS, or work")
