"""A worker for the actions of deploy.yaml, over the JSON functions of the work protocol.

    pip install 'psycopg[binary]'
    DATABASE_URL=postgres://... python worker.py

* One call per round reports what has finished and claims the next tasks. Reports stay in an outbox until they are
  acknowledged: after a lost connection they are sent again, and get the same answer.
* A thread renews the leases of running tasks and passes what it learns on to the handlers: `stop` is set when a task's
  workflow is being stopped, or when another worker has the task.
* A handler can record its progress (`task.progress`): the next heartbeat stores it, and if the worker dies, the next attempt
  continues from there.
* While there is nothing to do, a separate session announces that and listens, so that tasks are found as soon as they are queued.
* If opentelemetry-api is installed, each attempt is a span: the first one a child of the span that started the execution, later
  ones linked to it. Run the worker with `opentelemetry-instrument` to export them.
* SIGTERM or SIGINT drains: nothing new is claimed, and running tasks are finished and reported. A second signal ends the worker
  at once; its tasks are given to others when their leases expire.

Settings: WORKER_NAME, WORKER_THREADS (8), WORKER_LEASE in seconds (30).
"""
import json, os, random, re, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg

try:
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context
except ImportError:
    trace = None

NAME = os.environ.get("WORKER_NAME", f"python {os.getpid()}")
THREADS = int(os.environ.get("WORKER_THREADS", "8"))
LEASE = float(os.environ.get("WORKER_LEASE", "30"))
NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # an escape, not an escaped backslash before u0000


class Task(dict):
    """A claimed task: the fields that workflow_claim returns."""

    def __init__(self, fields):
        super().__init__(fields)
        self.stop = threading.Event()  # set when the result no longer matters
        self.progress = None  # what the handler has recorded, for the next heartbeat


def build(task):
    if task["attempt"] <= task["input"]["broken_builds"]:
        raise RuntimeError("the registry does not answer")
    return {"image": f"registry/{task['input']['app']}:{task['execution']}"}


def wait(task):
    """Long work: it checks `stop` from time to time, records its progress, and continues where an earlier attempt left off."""
    done = (task["progress"] or {"seconds": 0})["seconds"]
    while done < task["input"]["seconds"]:
        if task.stop.wait(1):
            raise Stopped("told to stop")
        done += 1
        task.progress = {"seconds": done}
    return {"waited": task["input"]["seconds"]}


HANDLERS = {
    "ci.build": build,
    "ci.lint": lambda task: {"warnings": 0},
    "ci.scan": lambda task: {"critical": int("legacy" in task["input"]["image"])},
    "k8s.apply": lambda task: {"url": f"https://{task['input']['region']}.example.com"},
    "k8s.rollback": lambda task: {},
    "chat.post": lambda task: {"posted": task["input"]["text"]},
    "demo.wait": wait,
}


class Stopped(Exception):
    """Raised by a handler that heeds `stop`: its task is reported as cancelled."""


class Failed(Exception):
    """A failure with more fields: may_retry, retry_in in seconds, progress for the next attempt."""

    def __init__(self, message, **more):
        super().__init__(message)
        self.more = more


class Worker:
    def __init__(self):
        self.changed = threading.Condition()  # guards the four below
        self.running = {}  # (task, lease_token): the task
        self.outbox = []
        self.draining = False
        self.hinted = False  # whether there may be work
        self.idle = threading.Event()
        self.pool = ThreadPoolExecutor(THREADS)

    def handle(self, task):
        outcome = {"task": task["task"], "lease_token": task["lease_token"], "status": "completed"}
        try:
            with span(task):
                outcome["result"] = HANDLERS[task["action"]](task)
            check(outcome)
        except Exception as error:
            status = "cancelled" if isinstance(error, Stopped) else "failed"
            outcome |= {"status": status, "result": None, "error": failure(type(error).__name__, str(error))}
            outcome |= getattr(error, "more", {})
            try:
                check(outcome)
            except (TypeError, ValueError) as error:
                outcome = failed(task, failure(type(error).__name__, str(error)))
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
        with self.changed:
            del self.outbox[: len(sent)]
            for outcome, answer in zip(sent, said["answers"]):
                if answer["code"]:
                    print(answer["task"], answer["code"], answer["message"], file=sys.stderr)
                # A result that is refused would be refused each time that the task is executed.
                if answer["code"] in ("WF613", "WF614") and not outcome.get("error"):
                    self.outbox.append(failed(outcome, failure("report", answer["message"])))
            for task in said["tasks"]:
                task = self.running[task["task"], task["lease_token"]] = Task(task)
                self.pool.submit(self.handle, task)
        return bool(sent or said["tasks"])

    def renew(self):
        """Renews leases until the worker ends."""
        while True:
            try:
                with connect() as db:
                    while True:
                        time.sleep(LEASE / 3)
                        with self.changed:
                            held = list(self.running.items())
                        query = "SELECT task::text, state FROM workflow_heartbeat(%s, %s, make_interval(secs => %s), %s::jsonb[])"
                        tasks, tokens = [int(task) for (task, _), _ in held], [int(token) for (_, token), _ in held]
                        progress = [task.progress and json.dumps(task.progress) for _, task in held]
                        try:
                            states = db.execute(query, [tasks, tokens, LEASE, progress]).fetchall()
                        except psycopg.Error as error:
                            if db.broken:
                                raise
                            # Progress that PostgreSQL cannot store must not cost the tasks their leases.
                            print(error, file=sys.stderr)
                            for _, task in held:
                                task.progress = None
                            states = db.execute(query, [tasks, tokens, LEASE, None]).fetchall()
                        with self.changed:
                            for (lease, task), (_, state) in zip(held, states):
                                if state != "held":
                                    task.stop.set()
                                    if state == "lost":
                                        self.running.pop(lease, None)
            except psycopg.Error as error:
                print(error, file=sys.stderr)
                time.sleep(random.uniform(0.1, 0.5))

    def listen(self):
        """Announces that the worker is idle, whenever it is, and wakes it when there is work, until it ends."""
        while True:
            try:
                with connect() as db:
                    db.execute("LISTEN pg_workflow")
                    while self.idle.wait():
                        db.execute("SELECT workflow_announce_idle(%s)", [list(HANDLERS)])
                        self.wake()  # what was queued before
                        if next(db.notifies(timeout=60, stop_after=1), None):
                            db.execute("SELECT workflow_announce_idle('{}')")
                            self.wake()
                        time.sleep(0.012)  # longer than the server withholds a hint that it has just sent
            except psycopg.OperationalError as error:
                print(error, file=sys.stderr)
                time.sleep(random.uniform(0.5, 1.5))

    def wake(self):
        with self.changed:
            self.hinted = True
            self.idle.clear()
            self.changed.notify_all()

    def drain(self, *_):
        if self.draining:
            os._exit(1)
        self.draining = True

    def run(self):
        threading.Thread(target=self.renew, daemon=True).start()
        threading.Thread(target=self.listen, daemon=True).start()
        while not self.draining or self.running or self.outbox:
            try:
                with connect() as db:
                    while not self.draining or self.running or self.outbox:
                        if self.exchange(db) or (not self.draining and db.execute("SELECT workflow_tick()").fetchone()[0]):
                            continue
                        with self.changed:
                            if not self.hinted and not self.draining:
                                self.idle.set()
                            self.changed.wait_for(lambda: self.outbox or self.hinted, random.uniform(0.1, 0.3))
                            self.hinted = False
            except psycopg.OperationalError as error:
                print(error, file=sys.stderr)
                time.sleep(random.uniform(0.5, 1.5))


def check(outcome):
    """Raises a ValueError or TypeError if PostgreSQL could not store an outcome, which would spoil the reports beside it."""
    text = json.dumps(outcome, allow_nan=False, ensure_ascii=False)
    text.encode()
    if NUL.search(text):
        raise ValueError("the outcome contains a NUL character")


def failure(kind, message):
    return {"type": kind, "message": message.encode(errors="replace").decode().replace("\0", "\ufffd")}


def failed(task, error):
    return {"task": task["task"], "lease_token": task["lease_token"], "status": "failed", "error": error}


@contextmanager
def span(task):
    """The span of an attempt. Does nothing without OpenTelemetry."""
    if not trace:
        yield
        return
    start = propagate.extract({"traceparent": task["traceparent"]} if task["traceparent"] else {}, context=Context())
    first = task["attempt"] == 1
    attributes = {
        "messaging.system": "pg_workflow", "messaging.operation.name": "process", "messaging.operation.type": "process",
        "messaging.destination.name": task["action"], "messaging.message.id": task["task"], "messaging.client.id": NAME,
        "pg_workflow.execution": int(task["execution"]), "pg_workflow.task": task["task_name"], "pg_workflow.attempt": task["attempt"],
    }
    if task["workflow_ref"]:
        attributes["pg_workflow.workflow"] = task["workflow_ref"]
    origin = trace.get_current_span(start).get_span_context()
    with trace.get_tracer("pg_workflow").start_as_current_span(
        f"process {task['action']}", context=start if first else Context(), kind=trace.SpanKind.CONSUMER, attributes=attributes,
        links=[] if first or not origin.is_valid else [trace.Link(origin)],
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_attribute("error.type", type(error).__name__)
            raise


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


if __name__ == "__main__":
    worker = Worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, worker.drain)
    worker.run()
