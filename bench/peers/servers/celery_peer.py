"""Celery on Redis: tasks without results, a worker of one process whose pool runs tasks on the spot.

There is no call for many tasks: a loop over one producer's connection, as `group` does it. Celery acknowledges a task
before it runs it (acks_late off, its default).
"""

import itertools
import logging
import queue
import threading
import time

from celery import Celery

from redis_python import fresh, in_force
from workload import PAYLOAD, Peer, Span, age_ms, main, not_offered, result, time_each, time_latency

POOL = "solo"
# A queue for each workload: the worker of the one before may still be there.
QUEUES = itertools.count()


class CeleryPeer(Peer):
    def open(self):
        client = fresh(self.job.url)
        app = Celery("bench", broker=f"{self.job.url}/0", set_as_current=False)
        app.conf.update(
            task_ignore_result=True, worker_prefetch_multiplier=0, worker_hijack_root_logger=False, worker_send_task_events=False,
            task_send_sent_event=False, worker_redirect_stdouts=False, task_default_queue=f"bench{next(QUEUES)}",
            broker_connection_retry_on_startup=True, worker_enable_remote_control=False,
        )
        self.started, self.arrivals = [], queue.Queue()

        @app.task
        def noop(payload):
            self.started.append(None)

        @app.task
        def arrive(payload):
            self.arrivals.put(age_ms(payload))

        self.noop, self.arrive = noop, arrive
        app.finalize()
        return client, app

    def enqueue_single(self):
        client, _ = self.open()
        n, span, samples = time_each(lambda: self.noop.delay(PAYLOAD), self.job.single, self.job.limit_s)
        return result(n, span, in_force(client), samples, "delay")

    def fill(self, app, n):
        with app.producer_or_acquire() as producer:
            for _ in range(n):
                self.noop.apply_async((PAYLOAD,), producer=producer)

    def enqueue_bulk(self):
        client, app = self.open()
        with app.producer_or_acquire() as producer:
            n, span, _ = time_each(
                lambda: self.noop.apply_async((PAYLOAD,), producer=producer), self.job.bulk, self.job.limit_s
            )
        return result(n, span, in_force(client), note="no batch call: a loop with one producer")

    def drain(self):
        client, app = self.open()
        self.fill(app, self.job.drain)
        end = time.perf_counter() + self.job.limit_s + 10
        work(app)
        while not self.started and time.perf_counter() < end:
            time.sleep(0.0005)
        # Timed from the first task's start: a worker takes a second to come up.
        end = time.perf_counter() + self.job.limit_s
        with Span() as span:
            before = len(self.started)
            while len(self.started) < self.job.drain and time.perf_counter() < end:
                time.sleep(0.001)
            span.stop()
        note = f"its worker, pool {POOL}, from the first task on; acknowledged before it runs"
        return result(len(self.started) - before, span, in_force(client), note=note)

    def dag_1000(self):
        return not_offered("chains, groups and chords: layers as barriers, no edges between tasks")

    def start_latency(self):
        client, app = self.open()
        work(app)
        n, span, samples = time_latency(self.arrive.delay, self.arrivals, self.job.latency, self.job.limit_s)
        return result(n, span, in_force(client), samples, f"its worker in the same process, pool {POOL}, woken by BRPOP")


def work(app):
    logging.disable(logging.CRITICAL)
    worker = app.Worker(
        pool=POOL, concurrency=1, loglevel="CRITICAL", without_gossip=True, without_mingle=True, without_heartbeat=True, quiet=True
    )
    threading.Thread(target=worker.start, daemon=True).start()


main(CeleryPeer)
