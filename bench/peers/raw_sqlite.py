"""Python's sqlite3 with one narrow table: what the disk and SQLite allow a Python program, not a queue.

No leases, no retries, no events. Drain takes 100 rows at a time; finishing them and claiming the next 100 is one
transaction. The limit that `bell` is held against is measured by `bell bench` itself, in Rust.
"""

import sqlite3

from workload import PAYLOAD, Peer, Span, in_force, main, not_offered, result, time_each

CLAIM = 100


class RawSqlite(Peer):
    no_graph = "a table, not a queue"

    def open(self, name):
        connection = sqlite3.connect(self.fresh(name) / "raw.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={self.job.variant}")
        connection.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, state INTEGER NOT NULL, payload TEXT NOT NULL)")
        connection.execute("CREATE INDEX ready ON task (id) WHERE state = 0")
        return connection

    def fill(self, connection, n):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO task (state, payload) VALUES (0, ?)", ((PAYLOAD,) for _ in range(n)))
        connection.execute("COMMIT")

    def enqueue_single(self):
        connection = self.open("single")
        insert = lambda: connection.execute("INSERT INTO task (state, payload) VALUES (0, ?)", (PAYLOAD,))
        n, span, samples = time_each(insert, self.job.single, self.job.limit_s)
        return result(n, span, in_force(connection), samples, "one INSERT, one commit")

    def enqueue_bulk(self):
        connection = self.open("bulk")
        calls, span, _ = time_each(
            lambda: self.fill(connection, self.job.batch), self.job.bulk // self.job.batch, self.job.limit_s
        )
        return result(calls * self.job.batch, span, in_force(connection), note="executemany, one commit per 1,000")

    def drain(self):
        connection = self.open("drain")
        self.fill(connection, self.job.drain)
        done, claimed = 0, []
        with Span() as span:
            while True:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("UPDATE task SET state = 2 WHERE id = ?", claimed)
                done += len(claimed)
                claimed = connection.execute(
                    "SELECT id FROM task WHERE state = 0 ORDER BY id LIMIT ?", (CLAIM,)
                ).fetchall()
                connection.executemany("UPDATE task SET state = 1 WHERE id = ?", claimed)
                connection.execute("COMMIT")
                if not claimed:
                    break
        return result(done, span, in_force(connection), note=f"claim + finish, {CLAIM} per transaction")

    def start_latency(self):
        return not_offered("nobody waits on a table")


main(RawSqlite)
