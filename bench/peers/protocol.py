"""What the drivers written in Python have in common: the words they are told (bench/README.md, "Beside other systems")."""
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


def thousands(jobs):
    """The numbers of jobs to put in at once, one after the other."""
    return [min(1000, jobs - start) for start in range(0, jobs, 1000)]


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
