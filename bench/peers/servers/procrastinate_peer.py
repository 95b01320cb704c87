"""Procrastinate: batch_defer, an asynchronous worker with many tasks at once, woken by NOTIFY; finished tasks are deleted.

Tried on two cores: 1, 5, 10 and 20 tasks at once; 10 was fastest.
"""

import asyncio
import queue
import threading
import time

import procrastinate
import psycopg

from workload import PAYLOAD, Peer, Span, age_ms, main, result, time_each, time_latency

CONCURRENCY = 10


class Procrastinate(Peer):
    def open(self, name):
        """A database of its own with two connectors: tasks are deferred on the calling thread, worked in a loop."""
        with psycopg.connect(self.job.url, autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {name}")
        url = self.job.url.rsplit("/", 1)[0] + f"/{name}"
        self.started, self.arrivals = [], queue.Queue()
        app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url, min_size=1, max_size=2))
        app.open()
        app.schema_manager.apply_schema()

        @app.task(name="noop")
        async def noop(payload):
            self.started.append(None)

        @app.task(name="arrive")
        async def arrive(payload):
            self.arrivals.put(age_ms(payload))

        self.worker_app = app.with_connector(procrastinate.PsycopgConnector(conninfo=url, min_size=1, max_size=CONCURRENCY + 2))
        return app, noop, arrive

    def storage(self):
        with psycopg.connect(self.job.url) as admin:
            ask = lambda name: admin.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]
            version = ask("server_version").split()[0]
            return f"PostgreSQL {version}, synchronous_commit={ask('synchronous_commit')}, fsync={ask('fsync')}"

    def work(self):
        async def run():
            async with self.worker_app.open_async():
                await self.worker_app.run_worker_async(
                    concurrency=CONCURRENCY, install_signal_handlers=False, delete_jobs="successful", listen_notify=True
                )

        threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()

    def enqueue_single(self):
        app, noop, _ = self.open("single")
        n, span, samples = time_each(lambda: noop.defer(payload=PAYLOAD), self.job.single, self.job.limit_s)
        app.close()
        return result(n, span, self.storage(), samples, "defer")

    def enqueue_bulk(self):
        app, noop, _ = self.open("bulk")
        batch = [{"payload": PAYLOAD}] * self.job.batch
        calls, span, _ = time_each(lambda: noop.batch_defer(*batch), self.job.bulk // self.job.batch, self.job.limit_s)
        app.close()
        return result(calls * self.job.batch, span, self.storage(), note="batch_defer")

    def drain(self):
        app, noop, _ = self.open("drain")
        for _ in range(self.job.drain // self.job.batch):
            noop.batch_defer(*[{"payload": PAYLOAD}] * self.job.batch)
        with Span() as span:
            self.work()
            while not self.started:
                time.sleep(0.0005)
            span.start()
            end = time.perf_counter() + self.job.limit_s
            while len(self.started) < self.job.drain and time.perf_counter() < end:
                time.sleep(0.001)
            span.stop()
        note = f"its worker, {CONCURRENCY} at once, from the first task on; finished tasks are deleted"
        return result(len(self.started), span, self.storage(), note=note)

    def start_latency(self):
        app, _, arrive = self.open("latency")
        self.work()
        defer = lambda payload: arrive.defer(payload=payload)
        n, span, samples = time_latency(defer, self.arrivals, self.job.latency, self.job.limit_s)
        return result(n, span, self.storage(), samples, "its worker in the same process, woken by NOTIFY")


main(Procrastinate)
