"""pg_workflow with a worker in plain SQL, like examples/worker.py: one call per round, which reports finished tasks and
claims the next ones."""
import os
import random
import time

import psycopg
from protocol import PAYLOAD, URL, clock, drive, started, stopped, thousands
from psycopg.types.json import Jsonb

HANDLERS = {"bench.step": lambda input: input}
EXCHANGE = """SELECT task, lease_token, state, code, message, action, input FROM workflow_finish_and_claim(%s,
  ARRAY(SELECT o FROM jsonb_populate_recordset(NULL::workflow.outcome, %s) o), max_tasks => 1000, actions => %s)
  WHERE state = 'claimed' OR code IS NOT NULL"""


def enqueue(jobs, steps):
    with psycopg.connect(URL, autocommit=True) as db, clock(jobs):
        for number in thousands(jobs):
            start = "SELECT count(*) FROM workflow_start_many(%s, %s)"
            db.execute(start, [f"bench.linear{steps}", [Jsonb(PAYLOAD)] * number])


def work():
    done, outbox = 0, []
    with psycopg.connect(URL, autocommit=True) as db:
        started()
        while outbox or not stopped.is_set():
            values = [f"python {os.getpid()}", Jsonb(outbox), list(HANDLERS)]
            rows = db.execute(EXCHANGE, values, prepare=True).fetchall()
            done += len(outbox)
            outbox = []
            for task, lease_token, state, code, message, action, input in rows:
                if code:
                    raise RuntimeError(f"{code}: {message}")
                if state == "claimed":
                    result = HANDLERS[action](input)
                    outbox.append({"task": task, "lease_token": lease_token, "status": "completed", "result": result})
            if not outbox:
                time.sleep(random.uniform(0.05, 0.15))
    return done


if __name__ == "__main__":
    drive(enqueue=enqueue, work=work)
