"""huey with SqliteHuey: one transaction per task, a consumer that polls.

Drain and start latency run huey's own Consumer with one thread worker: its workers take the whole database for each
dequeue, so more of them only wait for each other. huey deletes a task when it is dequeued: there is no lease, a
task in hand is lost if the consumer dies.
"""

import queue
import time

from huey import SqliteHuey
from workload import PAYLOAD, Peer, Span, age_ms, in_force, main, result, time_each, time_latency

WORKERS = 1
# `-d`/initial_delay: 0.1 s unless set, growing by backoff to max_delay while idle.
POLL_S = 0.001


class Huey(Peer):
    no_graph = "pipelines and chords, no graph of tasks"

    def open(self, name):
        options = {"default": {}, "fsync=False": {"fsync": False}}[self.job.variant]
        return SqliteHuey(filename=str(self.fresh(name) / "huey.db"), **options)

    def consumer(self, huey):
        return huey.create_consumer(
            workers=WORKERS, periodic=False, initial_delay=POLL_S, max_delay=POLL_S, check_worker_health=False
        )

    def enqueue_single(self):
        huey = self.open("single")
        task = huey.task()(lambda payload: None)
        n, span, samples = time_each(lambda: task(PAYLOAD), self.job.single, self.job.limit_s)
        return result(n, span, in_force(huey.storage.conn), samples)

    def enqueue_bulk(self):
        huey = self.open("bulk")
        task = huey.task()(lambda payload: None)
        n, span, _ = time_each(lambda: task(PAYLOAD), self.job.bulk, self.job.limit_s)
        return result(n, span, in_force(huey.storage.conn), note="no batch call: a loop")

    def drain(self):
        huey = self.open("drain")
        started = []
        task = huey.task()(lambda payload: started.append(None))
        fill_until = time.perf_counter() + 2 * self.job.limit_s
        filled = 0
        while filled < self.job.drain and time.perf_counter() < fill_until:
            task(PAYLOAD)
            filled += 1
        consumer = self.consumer(huey)
        end = time.perf_counter() + self.job.limit_s
        with Span() as span:
            consumer.start()
            while len(started) < filled and time.perf_counter() < end:
                time.sleep(0.001)
            span.stop()
            done = len(started)
        consumer.stop(graceful=True)
        return result(done, span, in_force(huey.storage.conn), note=f"consumer, {WORKERS} thread; deleted at dequeue, no lease")

    def start_latency(self):
        huey = self.open("latency")
        arrivals = queue.Queue()
        task = huey.task()(lambda payload: arrivals.put(age_ms(payload)))
        consumer = self.consumer(huey)
        consumer.start()
        n, span, samples = time_latency(task, arrivals, self.job.latency, self.job.limit_s)
        consumer.stop(graceful=True)
        return result(n, span, in_force(huey.storage.conn), samples, "consumer polling every 1 ms (unset: 100 ms and growing)")


main(Huey)
