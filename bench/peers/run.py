"""Measures task queues, and bell beside them, on this machine, and prints one table: embedded ones, or those on servers.

    python3 bench/peers/run.py [--servers] [--json] [--quick] [--bell PATH] [--only PEER] [--rounds N] [--quiet US]

Peers are installed once, by pinned version, under target/peers/. Rounds are interleaved over all peers, so that a
busy moment does not fall on one of them; the table gives the best and the median. A peer that fails becomes a row
that says so. Progress goes to standard error, the table (or the JSON) to standard output.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass

import bell
import loopback
import machine
import table
from environment import HERE, SERVERS, Environment, Unavailable, pinned_version
from workload import FULL, QUICK, SYNC_COUNTER_VARIABLE, WORKLOADS, Job, job_argument

REPOSITORY = HERE.parent.parent
CACHE = REPOSITORY / "target" / "peers"


@dataclass(frozen=True)
class Entry:
    """A peer at one setting. `program` is a script beside this file, or nothing when the kind is its own program.

    `server` names what it runs on, as `loopback.Servers` knows it; empty for an embedded peer.
    """

    peer: str
    package: str
    kind: str
    program: str
    variant: str
    server: str = ""


EMBEDDED = (
    Entry("raw sqlite3 (Python)", "", "system", "raw_sqlite.py", "FULL"),
    Entry("raw sqlite3 (Python)", "", "system", "raw_sqlite.py", "NORMAL"),
    Entry("huey", "huey", "python", "huey_peer.py", "default"),
    Entry("huey", "huey", "python", "huey_peer.py", "fsync=False"),
    Entry("litequeue", "litequeue", "python", "litequeue_peer.py", "default"),
    Entry("litequeue", "litequeue", "python", "litequeue_peer.py", "FULL"),
    Entry("persist-queue", "persist-queue", "python", "persist_queue_peer.py", "default"),
    Entry("honker", "honker", "python", "honker_peer.py", "default"),
    Entry("honker", "honker", "python", "honker_peer.py", "FULL"),
    Entry("taskito", "taskito", "python", "taskito_peer.py", "default"),
    Entry("plainjob", "plainjob", "node", "plainjob.js", "default"),
    Entry("plainjob", "plainjob", "node", "plainjob.js", "FULL"),
    Entry("effectum", "effectum", "cargo", "", "default"),
    Entry("effectum", "effectum", "cargo", "", "WAL"),
)


# On Redis each peer is measured twice: synced before each answer, as on the others, and once a second, as they are mostly run.
ON_REDIS = (("bullmq", "node_servers", "bullmq.js"), ("rq", "python_servers", "rq_peer.py"), ("celery", "python_servers", "celery_peer.py"))
ON_SERVERS = (
    Entry("graphile-worker", "graphile-worker", "node_servers", "graphile_worker.js", "default", "postgres"),
    Entry("pg-boss", "pg-boss", "node_servers", "pg_boss.js", "default", "postgres"),
    Entry("procrastinate", "procrastinate", "python_servers", "procrastinate_peer.py", "default", "postgres"),
    *(
        Entry(peer, peer, kind, program, fsync, f"redis-{fsync}")
        for peer, kind, program in ON_REDIS
        for fsync in ("always", "everysec")
    ),
)


def main():
    options = parse_options()
    CACHE.mkdir(parents=True, exist_ok=True)
    environment = Environment(CACHE, say)
    entries = [entry for entry in options.entries if options.only in (None, entry.peer)]
    commands = {entry: start_command(entry, environment) for entry in entries}
    counter = environment.sync_counter()
    servers = loopback.Servers(CACHE, counter)
    found = machine.describe(CACHE)
    patience = machine.Patience(options.quiet)
    sizes = QUICK if options.quick else FULL
    measured = {}
    for round_ in range(options.rounds or (1 if options.quick else 3)):
        for entry in entries:
            patience.wait(CACHE)
            say(f"round {round_ + 1}: {entry.peer} {entry.variant}")
            for key, row in measure(entry, commands[entry], sizes, counter, servers).items():
                measured.setdefault((entry, *key), []).append(row)
    rows = [table.merge_rounds(rounds) for rounds in measured.values()]
    if options.bell and options.only in (None, "bell"):
        rows += bell_rows(options, servers)

    if options.json:
        print(json.dumps({"machine": found, "sizes": sizes, "rows": rows}, indent=2, ensure_ascii=False))
    else:
        print(f"{found['cores']} cores, {found['memory_gib']} GiB, {found['file_system']}\n")
        print(table.render(rows))


def bell_rows(options, servers):
    """What bell says of itself in the same run: of its file, or of each server."""
    if not options.servers:
        say("bell bench")
        return bell.rows(options.bell, options.quick)
    rows = []
    for name, durability in (("postgres", "full"), ("redis-always", "full"), ("redis-everysec", "relaxed")):
        say(f"bell bench on {name}")
        try:
            url = servers.url(name)
        except Unavailable as error:
            rows.append(bell.failed(str(error)))
            continue
        rows += bell.rows(options.bell, options.quick, name, url, durability)
    return rows


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--servers", action="store_true", help="those on PostgreSQL and Redis, on servers of this run's own")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: under a minute once installed")
    parser.add_argument("--bell", type=pathlib.Path, metavar="PATH", help="the bell to measure (default: target/release/bell)")
    parser.add_argument("--only", metavar="PEER", help="one peer by name, or bell")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often to measure everything (default: 3; 1 with --quick)")
    parser.add_argument(
        "--quiet", type=int, metavar="US", help="wait, 5 minutes altogether, until a 4 KiB sync costs no more µs than this"
    )
    options = parser.parse_args()
    options.entries = ON_SERVERS if options.servers else EMBEDDED
    names = list(dict.fromkeys(entry.peer for entry in options.entries)) + ["bell"]
    if options.only and options.only not in names:
        parser.error(f"no peer named '{options.only}'; there are: {', '.join(names)}")
    built = REPOSITORY / "target" / "release" / "bell"
    if options.bell is None and built.exists():
        options.bell = built
    return options


def start_command(entry, environment):
    """How to start the peer, or the Unavailable that says why it cannot be."""
    try:
        command = list(environment.command(entry.kind))
    except Unavailable as error:
        return error
    if entry.program:
        folders = {"node": CACHE / "node", "node_servers": CACHE / "node-servers", "python_servers": SERVERS}
        folder = folders.get(entry.kind, HERE)
        command.append(str(folder / entry.program))
    return command


def measure(entry, command, sizes, counter, servers):
    """Runs one peer process; returns its rows by (workload, position), one per workload whatever happens."""
    named = {"peer": entry.peer, "version": pinned_version(entry.kind, entry.package), "variant": entry.variant}
    try:
        if isinstance(command, Unavailable):
            raise command
        url = servers.url(entry.server) if entry.server else ""
    except Unavailable as error:
        return {(name, 0): {**named, "workload": name, "failed": str(error)} for name in WORKLOADS}
    before = machine.sync_cost(CACHE)
    # On a server it is the server that syncs, and the counter is there.
    counting = {SYNC_COUNTER_VARIABLE: str(servers.counts[entry.server])} if entry.server in servers.counts else {}
    printed, problem = run_peer(entry, command, sizes, url, counting if entry.server else preload(counter))
    named["disk_us"] = max(before, machine.sync_cost(CACHE))
    rows = {}
    for row in printed:
        position = sum(1 for name, _ in rows if name == row["workload"])
        rows[row["workload"], position] = {**named, **row}
    for name in WORKLOADS:
        if (name, 0) not in rows:
            rows[name, 0] = {**named, "workload": name, "failed": problem or "printed nothing"}
    return rows


def run_peer(entry, command, sizes, url, counting):
    """Returns the objects that a peer printed and, if it did not end well, how it ended."""
    folder = CACHE / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    job = Job(dir=str(folder), variant=entry.variant, url=url, **sizes)
    # Every workload keeps to the limit by itself; filling, starting and stopping come on top.
    timeout_s = 20 + 5 * 4 * sizes["limit_s"]
    settings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(HERE), **counting}
    process = subprocess.Popen(
        [*command, job_argument(job)],
        env=settings,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    problem = None
    try:
        output, errors = process.communicate(timeout=timeout_s)
        if process.returncode != 0:
            last = errors.strip().splitlines()[-1:] or ["no message"]
            problem = f"exit {process.returncode}: {last[0]}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        problem = f"not done after {timeout_s:.0f} s"
    shutil.rmtree(folder, ignore_errors=True)
    # A peer may print a banner of its own among the rows.
    return [json.loads(line) for line in output.splitlines() if line.startswith("{")], problem


def preload(counter):
    if counter is None:
        return {}
    file = CACHE / "sync-count"
    file.write_bytes(bytes(8))
    return {"LD_PRELOAD": str(counter), SYNC_COUNTER_VARIABLE: str(file)}


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
