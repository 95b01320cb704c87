"""persist-queue's SQLiteAckQueue: put, get and ack, one transaction each; no worker.

It opens WAL and leaves synchronous as SQLite has it, FULL. Its get() looks through all acknowledged rows from the
start of the table, so the drain clears them every 1,000 tasks, as its own clear_acked_data() is for.
"""

import queue
import threading
import time

from persistqueue import Empty, SQLiteAckQueue
from workload import PAYLOAD, Peer, Span, age_ms, in_force, main, result, time_each, time_latency

CLEAR_EVERY = 1000


class PersistQueue(Peer):
    def open(self, name, **options):
        return SQLiteAckQueue(str(self.fresh(name)), **options)

    def storage(self, ackq):
        # The connection has no public name.
        return in_force(ackq._putter)

    def enqueue_single(self):
        ackq = self.open("single")
        n, span, samples = time_each(lambda: ackq.put(PAYLOAD), self.job.single, self.job.limit_s)
        return result(n, span, self.storage(ackq), samples)

    def enqueue_bulk(self):
        ackq = self.open("bulk")
        n, span, _ = time_each(lambda: ackq.put(PAYLOAD), self.job.bulk, self.job.limit_s)
        return result(n, span, self.storage(ackq), note="no batch call with acknowledgement: a loop")

    def drain(self):
        ackq = self.open("drain")
        fill_until = time.perf_counter() + 2 * self.job.limit_s
        filled = 0
        while filled < self.job.drain and time.perf_counter() < fill_until:
            ackq.put(PAYLOAD)
            filled += 1
        done = 0
        end = time.perf_counter() + self.job.limit_s
        with Span() as span:
            while time.perf_counter() < end:
                try:
                    item = ackq.get(block=False, raw=True)
                except Empty:
                    break
                ackq.ack(item)
                done += 1
                if done % CLEAR_EVERY == 0:
                    ackq.clear_acked_data(max_delete=CLEAR_EVERY, keep_latest=0)
        return result(done, span, self.storage(ackq), note="no worker: a loop of get + ack, acked rows cleared every 1,000")

    def start_latency(self):
        ackq = self.open("latency", multithreading=True)
        arrivals = queue.Queue()

        def work():
            while True:
                item = ackq.get(raw=True)
                arrivals.put(age_ms(item["data"]))
                ackq.ack(item)

        threading.Thread(target=work, daemon=True).start()
        n, span, samples = time_latency(ackq.put, arrivals, self.job.latency, self.job.limit_s)
        return result(n, span, self.storage(ackq), samples, "thread of the same process, woken by an event (other processes: 10 s)")


main(PersistQueue)
