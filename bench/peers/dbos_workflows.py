"""DBOS: workflows of steps on a queue, with its default settings except for the concurrency per process and the polling
interval (https://docs.dbos.dev/python/reference/queues); these are the best of those tried. It has no bulk call, so a
thousand are enqueued per transaction."""
import uuid

import sqlalchemy
from dbos import DBOS, DBOSClient
from protocol import PAYLOAD, URL, clock, drive, started, stopped, thousands

QUEUE = "peers"
APPLICATION = "peers"
CONCURRENCY = 100
done = 0


@DBOS.step()
def step(order):
    global done
    done += 1
    return order


@DBOS.workflow(name="steps")
def steps(number, order):
    for _ in range(number):
        order = step(order)
    return order


def launch():
    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": URL,
            "application_version": "1",
            "executor_id": str(uuid.uuid4()),
            "log_level": "ERROR",
        }
    )
    DBOS.launch()


def prepare():
    launch()
    DBOS.register_queue(QUEUE, polling_interval_sec=0.1)
    DBOS.destroy()


def enqueue(jobs, number):
    client = DBOSClient(system_database_url=URL, application_name=APPLICATION)
    # Workers poll from their launch on, which takes too long to be part of the measurement: let them find nothing yet.
    client.retrieve_queue(QUEUE).set_worker_concurrency(0)
    engine = sqlalchemy.create_engine(URL.replace("postgresql://", "postgresql+psycopg://"))
    with clock(jobs):
        for count in thousands(jobs):
            with engine.begin() as transaction:
                for _ in range(count):
                    client.enqueue_in_transaction(
                        transaction, {"queue_name": QUEUE, "workflow_name": "steps"}, number, PAYLOAD
                    )
    client.destroy()


def work():
    launch()
    started()
    DBOS.retrieve_queue(QUEUE).set_worker_concurrency(CONCURRENCY)
    stopped.wait()
    DBOS.destroy()
    return done


if __name__ == "__main__":
    drive(prepare=prepare, enqueue=enqueue, work=work)
