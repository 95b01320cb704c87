"""litequeue: a table with put, pop and done; no worker, so drain and latency are the caller's own loop.

It sets synchronous=NORMAL on its connection, which is public: the FULL variant sets it back.
"""

import queue
import threading
import time

from litequeue import LiteQueue
from workload import PAYLOAD, Peer, Span, age_ms, in_force, main, result, time_each, time_latency

POLL_S = 0.001


class Lite(Peer):
    def open(self, path):
        lite = LiteQueue(str(path / "litequeue.db"))
        if self.job.variant == "FULL":
            lite.conn.execute("PRAGMA synchronous=FULL")
        return lite

    def fill(self, lite, n):
        with lite.transaction():
            for _ in range(n):
                lite.put(PAYLOAD)

    def enqueue_single(self):
        lite = self.open(self.fresh("single"))
        n, span, samples = time_each(lambda: lite.put(PAYLOAD), self.job.single, self.job.limit_s)
        return result(n, span, in_force(lite.conn), samples)

    def enqueue_bulk(self):
        lite = self.open(self.fresh("bulk"))
        calls, span, _ = time_each(
            lambda: self.fill(lite, self.job.batch), self.job.bulk // self.job.batch, self.job.limit_s
        )
        return result(calls * self.job.batch, span, in_force(lite.conn), note="1,000 puts in its transaction()")

    def drain(self):
        lite = self.open(self.fresh("drain"))
        self.fill(lite, self.job.drain)
        done = 0
        end = time.perf_counter() + self.job.limit_s
        with Span() as span:
            while time.perf_counter() < end and (message := lite.pop()):
                lite.done(message.message_id)
                done += 1
        return result(done, span, in_force(lite.conn), note="no worker: a loop of pop + done; pop sorts all waiting rows")

    def start_latency(self):
        path = self.fresh("latency")
        lite = self.open(path)
        arrivals = queue.Queue()

        def poll():
            mine = self.open(path)
            while True:
                if message := mine.pop():
                    arrivals.put(age_ms(message.data))
                    mine.done(message.message_id)
                else:
                    time.sleep(POLL_S)

        threading.Thread(target=poll, daemon=True).start()
        n, span, samples = time_latency(lite.put, arrivals, self.job.latency, self.job.limit_s)
        return result(n, span, in_force(lite.conn), samples, "no worker: a thread that pops every 1 ms")


main(Lite)
