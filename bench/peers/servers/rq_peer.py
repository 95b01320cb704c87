"""RQ: enqueue_many in one pipeline, a SimpleWorker that runs tasks in its own process, dependencies between tasks.

RQ's default worker forks for each task; SimpleWorker does not and is the fastest that it has. It blocks on the queue, so
it is woken. Results and finished tasks are not kept (result_ttl 0).
"""

import itertools
import queue
import sys
import threading
import time

from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty

from redis_python import fresh, in_force
from workload import PAYLOAD, Peer, Span, age_ms, layered_graph, main, result, time_each, time_latency

# Tasks find what they fill by this module, which is also the worker's.
sys.modules.setdefault("rq_peer", sys.modules[__name__])
ARRIVALS = queue.Queue()
STARTED = []
# A queue for each workload: the worker of the one before is still there.
QUEUES = itertools.count()
KEEP = {"result_ttl": 0, "failure_ttl": 60}


def noop(payload):
    STARTED.append(None)


def arrive(payload):
    ARRIVALS.put(age_ms(payload))


class Worker(SimpleWorker):
    # The usual one needs signals, and those the main thread.
    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self):
        pass


class Rq(Peer):
    def open(self):
        client = fresh(self.job.url)
        STARTED.clear()
        return client, Queue(f"bench{next(QUEUES)}", connection=client)

    def enqueue_single(self):
        client, tasks = self.open()
        n, span, samples = time_each(lambda: tasks.enqueue("rq_peer.noop", PAYLOAD, **KEEP), self.job.single, self.job.limit_s)
        return result(n, span, in_force(client), samples, "enqueue")

    def fill(self, tasks, n):
        for _ in range(n // self.job.batch):
            tasks.enqueue_many([Queue.prepare_data("rq_peer.noop", (PAYLOAD,), **KEEP) for _ in range(self.job.batch)])

    def enqueue_bulk(self):
        client, tasks = self.open()
        calls, span, _ = time_each(lambda: self.fill(tasks, self.job.batch), self.job.bulk // self.job.batch, self.job.limit_s)
        return result(calls * self.job.batch, span, in_force(client), note="enqueue_many")

    def drain(self):
        client, tasks = self.open()
        self.fill(tasks, self.job.drain)
        work([tasks], client)
        with Span() as span:
            self.wait(self.job.drain)
            span.stop()
        return result(len(STARTED), span, in_force(client), note="SimpleWorker: tasks run in its own process, one at a time")

    def wait(self, n, limits=1):
        end = time.perf_counter() + limits * self.job.limit_s
        while len(STARTED) < n and time.perf_counter() < end:
            time.sleep(0.001)

    def dag_1000(self):
        client, tasks = self.open()
        work([tasks], client)
        time.sleep(0.3)
        made = []
        before = time.perf_counter()
        with Span() as span:
            for after in layered_graph():
                made.append(tasks.enqueue("rq_peer.noop", PAYLOAD, depends_on=[made[on] for on in after] or None, result_ttl=60))
            submitted = time.perf_counter() - before
            self.wait(len(made), 4)
            span.stop()
        return result(len(STARTED), span, in_force(client), note=f"depends_on; {submitted:.2f} s of it submitting one by one")

    def start_latency(self):
        client, tasks = self.open()
        work([tasks], client)
        n, span, samples = time_latency(
            lambda payload: tasks.enqueue("rq_peer.arrive", payload, **KEEP), ARRIVALS, self.job.latency, self.job.limit_s
        )
        return result(n, span, in_force(client), samples, "SimpleWorker in the same process, woken by its queue")


def work(queues, client):
    worker = Worker(queues, connection=client)
    worker.log.setLevel("ERROR")
    threading.Thread(target=lambda: worker.work(logging_level="ERROR"), daemon=True).start()


main(Rq)
