"""A worker for the actions of deploy.yaml, over the JSON functions of the work protocol.

    pip install 'psycopg[binary]'
    DATABASE_URL=postgres://... python worker.py

* One call per round reports what has finished and claims the next tasks. Reports stay in an outbox until they are
  answered: after a lost connection they are sent again, and get the same answer.
* A thread renews the leases of running tasks. What it hears is passed on to the handlers: `stop` is set when a task's
  workflow is being stopped, or when another worker has the task.
* SIGTERM or SIGINT drains: nothing new is claimed, what runs is finished and reported. A second one ends the worker at
  once; its tasks are given to others when their leases expire.

Settings: WORKER_NAME, WORKER_THREADS (8), WORKER_LEASE in seconds (30).
"""
import json, os, random, re, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor

import psycopg

NAME = os.environ.get("WORKER_NAME", f"python {os.getpid()}")
THREADS = int(os.environ.get("WORKER_THREADS", "8"))
LEASE = float(os.environ.get("WORKER_LEASE", "30"))
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # an escape, not an escaped backslash before u0000


def build(task, stop):
    if task["attempt"] <= task["input"]["broken_builds"]:
        raise RuntimeError("the registry does not answer")
    return {"image": f"registry/{task['input']['app']}:{task['execution']}"}


def wait(task, stop):
    """Work that takes long looks at `stop` now and then."""
    if stop.wait(task["input"]["seconds"]):
        raise Stopped("told to stop")
    return {"waited": task["input"]["seconds"]}


HANDLERS = {
    "ci.build": build,
    "ci.lint": lambda task, stop: {"warnings": 0},
    "ci.scan": lambda task, stop: {"critical": int("legacy" in task["input"]["image"])},
    "k8s.apply": lambda task, stop: {"url": f"https://{task['input']['region']}.example.com"},
    "k8s.rollback": lambda task, stop: {},
    "chat.post": lambda task, stop: {"posted": task["input"]["text"]},
    "demo.wait": wait,
}


class Stopped(Exception):
    """Raised by a handler that heeds `stop`: its task is reported as cancelled."""


class Failed(Exception):
    """A failure with more to say: may_retry, retry_in in seconds, progress for the next attempt."""

    def __init__(self, message, **more):
        super().__init__(message)
        self.more = more


class Worker:
    def __init__(self):
        self.changed = threading.Condition()  # guards the three below
        self.running = {}  # (task, lease_token): the event that tells its handler to stop
        self.outbox = []
        self.draining = False
        self.pool = ThreadPoolExecutor(THREADS)

    def handle(self, task, stop):
        outcome = {"task": task["task"], "lease_token": task["lease_token"], "status": "completed"}
        try:
            outcome["result"] = HANDLERS[task["action"]](task, stop)
            # What PostgreSQL cannot store must not spoil the reports beside it.
            if NUL.search(json.dumps(outcome, allow_nan=False)):
                raise ValueError("the result contains a NUL character")
        except Exception as error:
            failure = {"type": type(error).__name__, "message": str(error).replace("\0", "\ufffd")}
            outcome |= {"status": "cancelled" if isinstance(error, Stopped) else "failed", "result": None, "error": failure}
            outcome |= getattr(error, "more", {})
        with self.changed:
            if self.running.pop((task["task"], task["lease_token"]), None):  # else the lease is lost
                self.outbox.append(outcome)
            self.changed.notify_all()

    def exchange(self, db):
        """Reports, and claims unless the worker drains. Returns whether there was anything."""
        with self.changed:
            sent = self.outbox[:1000]
            room = 0 if self.draining else THREADS - len(self.running)
        if room:
            query = "SELECT workflow_finish_and_claim_json(%s, %s, %s, %s, make_interval(secs => %s))"
            said = db.execute(query, [NAME, json.dumps(sent), room, list(HANDLERS), LEASE]).fetchone()[0]
        elif sent:
            said = {"answers": db.execute("SELECT workflow_finish_json(%s)", [json.dumps(sent)]).fetchone()[0], "tasks": []}
        else:
            return False
        for answer in said["answers"]:
            if answer["code"]:
                print(answer["task"], answer["code"], answer["message"], file=sys.stderr)
        with self.changed:
            del self.outbox[: len(sent)]
            for task in said["tasks"]:
                stop = self.running[task["task"], task["lease_token"]] = threading.Event()
                self.pool.submit(self.handle, task, stop)
        return bool(sent or said["tasks"])

    def renew(self):
        """Renews leases until the worker ends."""
        while True:
            try:
                with connect() as db:
                    while True:
                        time.sleep(LEASE / 3)
                        with self.changed:
                            held = list(self.running)
                        query = "SELECT task::text, state FROM workflow_heartbeat(%s, %s, make_interval(secs => %s))"
                        tasks, tokens = [int(task) for task, _ in held], [int(token) for _, token in held]
                        states = db.execute(query, [tasks, tokens, LEASE]).fetchall()
                        with self.changed:
                            for lease, (_, state) in zip(held, states):
                                if state != "held" and lease in self.running:
                                    self.running[lease].set()
                                    if state == "lost":
                                        del self.running[lease]
            except psycopg.OperationalError as error:
                print(error, file=sys.stderr)
                time.sleep(random.uniform(0.1, 0.5))

    def drain(self, *_):
        if self.draining:
            os._exit(1)
        self.draining = True

    def run(self):
        threading.Thread(target=self.renew, daemon=True).start()
        while not self.draining or self.running or self.outbox:
            try:
                with connect() as db:
                    while not self.draining or self.running or self.outbox:
                        if self.exchange(db) or (not self.draining and db.execute("SELECT workflow_tick()").fetchone()[0]):
                            continue
                        with self.changed:
                            self.changed.wait_for(lambda: self.outbox, random.uniform(0.1, 0.3))
            except psycopg.OperationalError as error:
                print(error, file=sys.stderr)
                time.sleep(random.uniform(0.5, 1.5))


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


if __name__ == "__main__":
    worker = Worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.drain)
    worker.run()
