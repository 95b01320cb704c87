"""Checks of what is not measured: merging rounds, drawing the table, reading `bell bench --json`.

    python3 -m unittest discover -s bench/peers
"""

import pathlib
import stat
import tempfile
import unittest

import bell
import table
from workload import layered_graph, percentile


def measured(workload="drain", seconds=1.0, **more):
    return {"peer": "p", "version": "1", "variant": "v", "workload": workload, "n": 100, "seconds": seconds, "storage": "s", "note": "", **more}


class Rounds(unittest.TestCase):
    def test_the_best_round_stands_with_the_median_beside_it(self):
        merged = table.merge_rounds([measured(seconds=s, syncs=200) for s in (2.0, 1.0, 4.0)])
        self.assertEqual((merged["tasks_per_s"], merged["tasks_per_s_median"], merged["syncs_per_task"]), (100, 50, 2))

    def test_latency_is_judged_by_its_tail(self):
        rounds = [measured("start_latency", seconds=s, p50_ms=0.1, p99_ms=p) for s, p in ((1, 9.0), (2, 3.0))]
        self.assertEqual(table.merge_rounds(rounds)["p99_ms"], 3.0)

    def test_a_failed_round_is_said_and_the_others_count(self):
        lost = {"peer": "p", "version": "1", "variant": "v", "workload": "drain", "failed": "broke"}
        self.assertIn("1 of 2 rounds failed", table.merge_rounds([measured(), lost])["note"])
        self.assertEqual(table.merge_rounds([lost, lost])["failed"], "broke")

    def test_every_outcome_can_be_drawn(self):
        drawn = table.render(
            [
                table.merge_rounds([measured()]),
                {"peer": "q", "version": "2", "variant": "", "workload": "drain", "failed": "a | b"},
                {"peer": "q", "version": "2", "variant": "", "workload": "dag_1000", "not_offered": "no graph"},
                bell.failed("not built"),
            ]
        )
        for words in ("100", "failed: a / b", "Not offered: q (no graph).", "not built"):
            self.assertIn(words, drawn)


class Bell(unittest.TestCase):
    def run_script(self, script):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "bell")
            path.write_text(f"#!/bin/sh\n{script}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
            return bell.rows(path)

    def test_rates_and_times_land_in_their_columns(self):
        printed = (
            '{"machine": {}, "durability": "full", "rows": ['
            '{"name": "drain", "spec": "5B", "n": 10, "value": 5.5, "unit": "tasks/s", "raw": 11, "ratio": 0.5},'
            '{"name": "dag_1000", "value": 250, "unit": "ms"},'
            '{"name": "start_latency", "value": 0.4, "unit": "ms", "p99_ms": 0.9},'
            '{"name": "queue_status", "value": 1, "unit": "ms"}]}'
        )
        drain, graph, latency = self.run_script(f"cat <<'END'\n{printed}\nEND")
        self.assertEqual((drain["tasks_per_s"], drain["note"]), (5.5, "SPEC 5B; raw 11; ratio 0.5"))
        self.assertEqual((graph["seconds"], graph["tasks_per_s"]), (0.25, 4000))
        self.assertEqual((latency["p50_ms"], latency["p99_ms"]), (0.4, 0.9))
        table.render([drain, graph, latency])

    def test_whatever_goes_wrong_is_one_row(self):
        for script in ("echo unknown command >&2; exit 2", "echo '[]'", "echo '{'", 'echo \'{"rows": []}\'', 'echo \'{"rows": [1]}\''):
            with self.subTest(script):
                (row,) = self.run_script(script)
                self.assertIn("failed", row)
        self.assertIn("failed", bell.rows(pathlib.Path("/nowhere/bell"))[0])


class Workload(unittest.TestCase):
    def test_the_graph_is_layered_and_always_the_same(self):
        graph = layered_graph()
        self.assertEqual((len(graph), graph), (1000, layered_graph()))
        for task, parents in enumerate(graph[10:], start=10):
            self.assertIn(len(parents), (2, 3))
            self.assertEqual({parent // 10 for parent in parents}, {task // 10 - 1})

    def test_percentiles_are_nearest_rank(self):
        self.assertEqual(percentile([3, 1, 2], 0.5), 2)
        self.assertEqual(percentile([1], 0.99), 1)


if __name__ == "__main__":
    unittest.main()
