"""What every peer is asked to do, and how a Python peer reports it.

A peer is one process. The driver hands it one JSON argument, a `Job`, and it prints one JSON object per line, a
measured workload each:

    {"workload": "drain", "n": 2000, "seconds": 0.41, "syncs": 4000, "p50_ms": …, "p99_ms": …, "storage": "…", "note": "…"}
    {"workload": "drain", "failed": "…"}            it should have worked and did not
    {"workload": "dag_1000", "not_offered": "…"}    the peer has no such notion

A workload that a peer offers two ways is two lines. The rate is always n / seconds; n can be smaller than asked for when the time limit ended the workload early.

    enqueue_single   one caller, one task per call; each call is timed from call to return
    enqueue_bulk     batches of 1,000 through the peer's batch call; a loop of single calls where it has none
    drain            a full queue worked empty, tasks do nothing; from the first claim (a peer's own worker: the first task's
                     start) to the last task settled
    dag_1000         100 layers of 10 tasks, each depending on 2 or 3 of the layer before; from the first submission
                     to the last task settled, with an idle worker waiting from the start
    start_latency    an idle worker; from just before the enqueue call to the first line of the task

This module is imported both by the driver and by the Python peers in their own environment: standard library only.
"""

import json
import os
import pathlib
import random
import sqlite3
import struct
import sys
import time
from dataclasses import asdict, dataclass

WORKLOADS = ("enqueue_single", "enqueue_bulk", "drain", "dag_1000", "start_latency")

PAYLOAD_BYTES = 150
PAYLOAD = "x" * PAYLOAD_BYTES

# Tasks that let a fresh worker come up before start latency is taken; they are not counted.
WARM_UP = 3

# Where the preloaded counter of fsync/fdatasync calls lives, if there is one; see syncs.c.
SYNC_COUNTER_VARIABLE = "PEERS_SYNC_COUNTER"


@dataclass
class Job:
    """One peer's assignment for one round."""

    dir: str
    variant: str
    single: int
    bulk: int
    batch: int
    drain: int
    latency: int
    limit_s: float
    # Of its server; empty for an embedded peer.
    url: str = ""


# The limit keeps slow peers from holding everyone up: the rate is as good over fewer tasks.
FULL = dict(single=2000, bulk=20_000, batch=1000, drain=10_000, latency=200, limit_s=3.0)
QUICK = dict(single=500, bulk=5_000, batch=1000, drain=2_000, latency=50, limit_s=1.0)


def job_argument(job: Job) -> str:
    return json.dumps(asdict(job))


def percentile(samples: list[float], q: float) -> float:
    """The nearest-rank percentile; `samples` need not be sorted."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def layered_graph(layers: int = 100, width: int = 10, seed: int = 1) -> list[list[int]]:
    """Returns, for each task in order, the positions of the earlier tasks it depends on."""
    draw = random.Random(seed)
    graph: list[list[int]] = [[] for _ in range(width)]
    for layer in range(1, layers):
        before = range((layer - 1) * width, layer * width)
        graph.extend(sorted(draw.sample(before, draw.choice((2, 3)))) for _ in range(width))
    return graph


def sync_count() -> int | None:
    """Syncs issued so far by this process and its children, None when they are not counted."""
    path = os.environ.get(SYNC_COUNTER_VARIABLE)
    if not path:
        return None
    try:
        return struct.unpack("=Q", pathlib.Path(path).read_bytes()[:8])[0]
    except (OSError, struct.error):
        return None


class Span:
    """Wall time and syncs of a `with` block; `start()` and `stop()` narrow it from inside."""

    def __enter__(self):
        self.start()
        return self

    def start(self):
        self.seconds = None
        self._syncs = sync_count()
        self._from = time.perf_counter()

    def stop(self):
        if self.seconds is None:
            self.seconds = time.perf_counter() - self._from
            now = sync_count()
            self.syncs = None if now is None or self._syncs is None else now - self._syncs

    def __exit__(self, *_):
        self.stop()


def stamp() -> str:
    """A payload of the usual size that says when it was made; `age_ms` reads it back."""
    return str(time.monotonic_ns()).ljust(PAYLOAD_BYTES)


def age_ms(payload: str) -> float:
    return (time.monotonic_ns() - int(payload)) / 1e6


def result(n, span, storage, samples=None, note=""):
    """A measured workload; `samples` are milliseconds."""
    row = {"n": n, "seconds": span.seconds, "syncs": span.syncs, "storage": storage, "note": note}
    if samples:
        row["p50_ms"] = percentile(samples, 0.50)
        row["p99_ms"] = percentile(samples, 0.99)
    return row


def not_offered(why: str):
    return {"not_offered": why}


def time_each(call, n: int, limit_s: float):
    """Calls `call()` up to n times; returns how often, the span, and each call's milliseconds."""
    samples = []
    end = time.perf_counter() + limit_s
    with Span() as span:
        while len(samples) < n:
            before = time.perf_counter()
            if before > end:
                break
            call()
            samples.append((time.perf_counter() - before) * 1000)
    return len(samples), span, samples


def time_latency(enqueue, arrivals, n: int, limit_s: float):
    """Enqueues one stamped task at a time and waits until it has started.

    `arrivals` is a queue.Queue that the task fills with its `age_ms`. A random pause lets the worker go idle and
    keeps enqueues out of step with any polling.
    """

    def one():
        time.sleep(random.uniform(0.004, 0.008))
        enqueue(stamp())
        return arrivals.get(timeout=20)

    for _ in range(WARM_UP):
        one()
    samples = []
    end = time.perf_counter() + limit_s
    with Span() as span:
        while len(samples) < n and time.perf_counter() < end:
            samples.append(one())
    return len(samples), span, samples


def in_force(connection: sqlite3.Connection) -> str:
    """What a connection really has, asked of that very connection."""
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    level = connection.execute("PRAGMA synchronous").fetchone()[0]
    return f"SQLite {sqlite3.sqlite_version}, {describe(journal, level)}"


def describe(journal: str, level: int) -> str:
    names = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}
    return f"{journal.upper()}, synchronous={names.get(level, level)}"


class Peer:
    """Base of the Python peers: one method per workload, each on a fresh directory."""

    no_graph = "no dependencies between tasks"

    def __init__(self, job: Job):
        self.job = job

    def fresh(self, name: str) -> pathlib.Path:
        path = pathlib.Path(self.job.dir, name)
        path.mkdir(parents=True)
        return path

    def dag_1000(self):
        return not_offered(self.no_graph)


def main(peer_class):
    """Runs every workload of a peer; one that fails is a line of its own and the others go on."""
    peer = peer_class(Job(**json.loads(sys.argv[1])))
    for name in WORKLOADS:
        try:
            rows = getattr(peer, name)()
        except Exception as error:  # whatever a peer throws is its result
            rows = {"failed": f"{type(error).__name__}: {error}"}
        for row in rows if isinstance(rows, list) else [rows]:
            print(json.dumps({"workload": name, **row}), flush=True)
    # Worker threads of a peer may not end by themselves; everything worth keeping is printed.
    os._exit(0)
