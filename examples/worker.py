"""A worker for the actions of deploy.yaml, in plain SQL.

    pip install 'psycopg[binary]'
    DATABASE_URL=postgres://... python worker.py

One call per round: it reports finished tasks and claims the next ones. After a lost connection, unanswered reports are
resent and get the same answer. Tasks that take longer than a lease need workflow_heartbeat in parallel.
"""
import os, random, signal, sys, time

import psycopg
from psycopg.types.json import Jsonb


def build(task):
    if task["attempt"] <= task["input"]["broken_builds"]:
        raise RuntimeError("the registry does not answer")
    return {"image": f"registry/{task['input']['app']}:{task['execution']}"}


HANDLERS = {
    "ci.build": build,
    "ci.lint": lambda task: {"warnings": 0},
    "ci.scan": lambda task: {"critical": int("legacy" in task["input"]["image"])},
    "k8s.apply": lambda task: {"url": f"https://{task['input']['region']}.example.com"},
    "k8s.rollback": lambda task: {},
    "chat.post": lambda task: {"posted": task["input"]["text"]},
}
EXCHANGE = """
SELECT * FROM workflow_finish_and_claim(%s, ARRAY(SELECT o FROM jsonb_populate_recordset(NULL::workflow.outcome, %s) o),
  max_tasks => 10, actions => %s, lease => '30 seconds')
WHERE state = 'claimed' OR code IS NOT NULL"""
FINISH = "SELECT * FROM workflow_finish(ARRAY(SELECT o FROM jsonb_populate_recordset(NULL::workflow.outcome, %s) o))"


def handle(task):
    outcome = {"task": task["task"], "lease_token": task["lease_token"]}
    try:
        time.sleep(0.05)  # stands in for real work
        return outcome | {"status": "completed", "result": HANDLERS[task["action"]](task)}
    except Exception as error:
        return outcome | {"status": "failed", "error": {"type": type(error).__name__, "message": str(error)}}


def main(name=f"python {os.getpid()}"):
    stopping, outbox = [], []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.append(True))
    while outbox or not stopping:
        try:
            with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True, row_factory=psycopg.rows.dict_row) as db:
                while not stopping:
                    rows = db.execute(EXCHANGE, [name, Jsonb(outbox), list(HANDLERS)]).fetchall()
                    for row in rows:
                        if row["code"]:
                            print(row["task"], row["code"], row["message"], file=sys.stderr)
                    outbox = [handle(row) for row in rows if row["state"] == "claimed"]
                    if not outbox and not db.execute("SELECT workflow_tick() AS done").fetchone()["done"]:
                        time.sleep(random.uniform(0.1, 0.3))
                db.execute(FINISH, [Jsonb(outbox)])
                outbox = []
        except psycopg.OperationalError as error:
            print(error, file=sys.stderr)
            time.sleep(random.uniform(0.5, 1.5))


if __name__ == "__main__":
    main()
