"""taskito: a Rust engine behind Python tasks, with batches, batched dispatch and dependencies.

Its connections are its own and have no setting for synchronous: the durability column is what its file says (journal
mode) and what it did (syncs per task: it commits without one, as NORMAL does). Batched dispatch and a short poll are
its documented settings for throughput and latency; four threads were quickest of 1 to 16. Its log line per task is
switched off.
"""

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time

from taskito import Queue
from workload import PAYLOAD, Peer, Span, age_ms, layered_graph, main, result, time_each, time_latency

WORKERS = 4
DISPATCH = 100
POLL_MS = 1


class Taskito(Peer):
    def open(self, name):
        self.file = self.fresh(name) / "taskito.db"
        return Queue(
            db_path=str(self.file),
            workers=WORKERS,
            scheduler_batch_size=DISPATCH,
            scheduler_poll_interval_ms=POLL_MS,
            push_dispatch=True,
        )

    def storage(self):
        journal = sqlite3.connect(self.file).execute("PRAGMA journal_mode").fetchone()[0]
        return f"SQLite (bundled), {journal.upper()}, synchronous private, no sync per commit"

    @contextlib.contextmanager
    def worker(self, taskito):
        thread = threading.Thread(target=taskito.run_worker, daemon=True)
        thread.start()
        yield
        taskito.shutdown()
        thread.join(timeout=15)

    def settled(self, taskito, n, end):
        """Waits until n tasks are completed in the store; returns how many are."""
        while (done := taskito.stats()["completed"]) < n and time.perf_counter() < end:
            time.sleep(0.005)
        return done

    def enqueue_single(self):
        taskito = self.open("single")
        task = taskito.task(name="noop")(lambda payload: None)
        n, span, samples = time_each(lambda: task.delay(PAYLOAD), self.job.single, self.job.limit_s)
        return result(n, span, self.storage(), samples)

    def enqueue_bulk(self):
        taskito = self.open("bulk")
        taskito.task(name="noop")(lambda payload: None)
        batch = [(PAYLOAD,)] * self.job.batch
        calls, span, _ = time_each(
            lambda: taskito.enqueue_many("noop", batch), self.job.bulk // self.job.batch, self.job.limit_s
        )
        return result(calls * self.job.batch, span, self.storage(), note="enqueue_many")

    def drain(self):
        taskito = self.open("drain")
        started = []

        def noop(payload):
            if not started:
                span.start()
            started.append(None)

        taskito.task(name="noop")(noop)
        for _ in range(self.job.drain // self.job.batch):
            taskito.enqueue_many("noop", [(PAYLOAD,)] * self.job.batch)
        with Span() as span, self.worker(taskito):
            end = time.perf_counter() + self.job.limit_s
            while len(started) < self.job.drain and time.perf_counter() < end:
                time.sleep(0.002)
            done = self.settled(taskito, len(started), end)
            span.stop()
        return result(done, span, self.storage(), note=f"its worker, {WORKERS} threads, dispatch batch {DISPATCH}, poll {POLL_MS} ms")

    def dag_1000(self):
        taskito = self.open("dag")
        ran = []
        taskito.task(name="noop")(ran.append)
        graph = layered_graph()
        with self.worker(taskito):
            time.sleep(0.3)
            ids = []
            with Span() as span:
                begun = time.perf_counter()
                for parents in graph:
                    depends_on = [ids[parent] for parent in parents] or None
                    ids.append(taskito.enqueue("noop", (PAYLOAD,), depends_on=depends_on).id)
                submitted = time.perf_counter() - begun
                end = begun + 10 * self.job.limit_s
                while len(ran) < len(graph) and time.perf_counter() < end:
                    time.sleep(0.002)
                done = self.settled(taskito, len(ran), end)
                span.stop()
        return result(done, span, self.storage(), note=f"depends_on; {submitted:.2f} s of it submitting one by one")

    def start_latency(self):
        taskito = self.open("latency")
        arrivals = queue.Queue()
        task = taskito.task(name="noop")(lambda payload: arrivals.put(age_ms(payload)))
        with self.worker(taskito):
            time.sleep(0.3)
            n, span, samples = time_latency(task.delay, arrivals, self.job.latency, self.job.limit_s)
        return result(n, span, self.storage(), samples, f"its worker, poll {POLL_MS} ms (unset: 50 ms)")


logging.disable(logging.CRITICAL)
os.environ.setdefault("NO_COLOR", "1")
main(Taskito)
