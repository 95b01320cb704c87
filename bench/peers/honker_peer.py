"""honker: queue functions inside SQLite, with batched claim and acknowledgement and a watcher that wakes workers.

`honker.open` keeps one connection for writing and sets synchronous=NORMAL on it. The FULL variant changes that through
the library's own transaction object, between two transactions, since SQLite refuses it inside one.
"""

import asyncio
import queue
import threading
import time

import honker
from workload import PAYLOAD, Peer, Span, age_ms, describe, main, result, time_each, time_latency

CLAIM = 100
WORKER = "bench"


class Opened:
    def __init__(self, path, full):
        self.db = honker.open(str(path / "honker.db"))
        if full:
            with self.db.transaction() as tx:
                tx.execute("COMMIT")
                tx.execute("PRAGMA synchronous=FULL")
                tx.execute("BEGIN IMMEDIATE")
        self.queue = self.db.queue("bench")

    def storage(self):
        with self.db.transaction() as tx:
            journal = tx.query("PRAGMA journal_mode")[0]["journal_mode"]
            level = tx.query("PRAGMA synchronous")[0]["synchronous"]
            version = tx.query("SELECT sqlite_version() AS v")[0]["v"]
        return f"SQLite {version}, {describe(journal, level)}"

    def enqueue(self, payload):
        self.queue.enqueue(payload)

    def enqueue_many(self, n):
        with self.db.transaction() as tx:
            for _ in range(n):
                self.queue.enqueue(PAYLOAD, tx=tx)


class Honker(Peer):
    def open(self, name):
        return Opened(self.fresh(name), full=self.job.variant == "FULL")

    def enqueue_single(self):
        handle = self.open("single")
        n, span, samples = time_each(lambda: handle.enqueue(PAYLOAD), self.job.single, self.job.limit_s)
        return result(n, span, handle.storage(), samples)

    def enqueue_bulk(self):
        handle = self.open("bulk")
        calls, span, _ = time_each(
            lambda: handle.enqueue_many(self.job.batch), self.job.bulk // self.job.batch, self.job.limit_s
        )
        return result(calls * self.job.batch, span, handle.storage(), note="1,000 enqueues in one transaction")

    def full(self, name):
        handle = self.open(name)
        for _ in range(self.job.drain // self.job.batch):
            handle.enqueue_many(self.job.batch)
        return handle, time.perf_counter() + self.job.limit_s

    def drain(self):
        return [self.drain_in_batches(), asyncio.run(self.drain_by_worker())]

    def drain_in_batches(self):
        handle, end = self.full("drain-batches")
        done = 0
        with Span() as span:
            while time.perf_counter() < end and (jobs := handle.queue.claim_batch(WORKER, CLAIM)):
                done += handle.queue.ack_batch([job.id for job in jobs], WORKER)
        return result(done, span, handle.storage(), note=f"a loop of claim_batch + ack_batch of {CLAIM}")

    async def drain_by_worker(self):
        handle, end = self.full("drain-worker")
        done = 0
        with Span() as span:
            async for job in handle.queue.claim(WORKER):
                job.ack()
                done += 1
                if done == self.job.drain or time.perf_counter() > end:
                    break
        return result(done, span, handle.storage(), note="its worker, queue.claim(): one task at a time")

    def start_latency(self):
        handle = self.open("latency")
        arrivals = queue.Queue()

        async def work():
            async for job in handle.queue.claim(WORKER):
                arrivals.put(age_ms(job.payload))
                job.ack()

        threading.Thread(target=lambda: asyncio.run(work()), daemon=True).start()
        n, span, samples = time_latency(handle.enqueue, arrivals, self.job.latency, self.job.limit_s)
        return result(n, span, handle.storage(), samples, "queue.claim(), woken by its watcher of 1 ms")


main(Honker)
