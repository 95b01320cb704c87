#!/usr/bin/env python3
"""Compares `bell analyze`, edge by edge and by time, with the tools made for one language.

    python3 bench/analyze/compare.py --bell target/release/bell [--only flask,rxjs] [--folder F] [--write]

Packages come from their registries by name and version, into a temporary folder or `--folder`; so do the tools.
Go is compared where `go` and Debian's `golang-golang-x-tools-dev` are installed. `--write` writes
bench/results/analyze.md. Fails if a difference has no reason in justified.json, or if recall or precision is
below `--require`.
"""

import argparse
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path

import rust
import witnesses
from witnesses import Shelf, Witness, run

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "analyze.md"
SHOWN = 20


def packages(shelf, only):
    """Those that can be had here and are wanted."""
    go_tree = Path("/usr/share/gocode/src/golang.org/x/tools")
    all = {
        "django": lambda: witnesses.python(shelf, "django", "5.1.4"),
        "flask": lambda: witnesses.python(shelf, "flask", "3.1.0"),
        "rxjs": lambda: witnesses.script(shelf, "rxjs", "7.8.1", "src"),
        "effect": lambda: witnesses.script(shelf, "effect", "3.12.0", "src"),
        "express": lambda: witnesses.script(shelf, "express", "4.21.2", "."),
        "modules": lambda: rust.modules(shelf, "ruff", "0.12.12"),
        "uses": lambda: rust.uses(shelf, "ruff", "0.12.12"),
        "go": lambda: witnesses.go(shelf, "golang.org/x/tools", go_tree),
    }
    if not shutil.which("go") or not go_tree.exists():
        del all["go"]
    # It takes a while to build, and is asked for by name the first time.
    if "uses" not in only and not rust.tool(shelf).exists():
        del all["uses"]
    for key, make in all.items():
        if not only or key in only:
            yield make()


class Row:
    """One package beside its witnesses."""

    def __init__(self, package, bell, rounds):
        self.package = package
        args = [bell, "analyze", package.root, "--json", "--no-cache", "--language", package.languages]
        ours = Witness("bell", args, package.root.parent, json.loads)
        told, self.costs = in_turns([ours, *package.witnesses], rounds)
        self.found = {one.name: one.parse(told[one.name]) for one in package.witnesses}
        report = ours.parse(told["bell"])
        self.files = report["statistics"]["total_files"]
        self.ours = package.pairs(report)
        self.agreed = set.intersection(*self.found.values())
        self.any = set.union(*self.found.values())
        mine = set(self.ours)
        self.recall = 1 - len(self.agreed - mine) / max(len(self.agreed), 1)
        self.theirs = self.any - mine
        self.alone = mine - self.any

    def judge(self, rules):
        """Gives each difference the first rule that explains it."""
        self.reasons, self.unexplained = Counter(), {"theirs": [], "ours": []}
        for side, pairs in (("theirs", self.theirs), ("ours", self.alone)):
            for pair in sorted(pairs):
                rule = next((rule for rule in rules if self.explains(rule, side, pair)), None)
                if rule:
                    self.reasons[side, rule["why"]] += 1
                else:
                    self.unexplained[side].append(pair)
        self.precision = 1 - len(self.unexplained["ours"]) / max(len(self.ours), 1)

    def explains(self, rule, side, pair):
        if rule["side"] != side or not fnmatchcase(self.package.key, rule.get("package", "*")):
            return False
        if not fnmatchcase(pair[0], rule.get("from", "*")) or not fnmatchcase(pair[1], rule.get("to", "*")):
            return False
        tools = {name for name, edges in self.found.items() if pair in edges}
        if "tool" in rule and any(not name.startswith(rule["tool"]) for name in tools):
            return False
        said = rule.get("edge", {}).items()
        if said and not all(fnmatchcase(str(self.ours[pair].get(key, "")), value) for key, value in said):
            return False
        return "code" not in rule or self.code(rule["code"], side, pair)

    def code(self, pattern, side, pair):
        """Whether the importing file says so: at the line we name, or anywhere in it for what others report."""
        pattern = pattern.replace("{to}", re.escape(Path(pair[1]).stem))
        file = (self.package.folder or self.package.root) / pair[0]
        if not file.is_file():
            return False
        text = file.read_text(errors="replace")
        if side == "ours":
            text = "\n".join(text.split("\n")[self.ours[pair]["line"] - 1 :])
            return re.match(pattern, text) is not None
        return re.search(pattern, text, re.MULTILINE) is not None


def in_turns(all, rounds):
    """What each printed, and the quickest of its runs: everybody runs once before anybody runs again."""
    told, costs = {}, {}
    for number in range(rounds):
        for one in all:
            if one.once and number > 0:
                continue
            told[one.name], *cost = run(one.args, one.cwd, one.env, one.check)
            if one.timed:
                costs[one.name] = min(costs.get(one.name, cost), cost)
    return told, costs


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} processors ({model}), {platform.system()} {platform.release()}, load {load:.1f}"


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows]) + "\n"


def shown(rows, args):
    text = f"""# Source analysis beside tools of one language

`python3 bench/analyze/compare.py --bell …/bell --write`, {time.strftime("%Y-%m-%d")}, {machine()}, {args.profile} build.

An edge says that one file needs another (for Go: one package). *Agreed* are edges that all tools report; *recall* is the
share of them that `bell` finds. *Precision* is the share of our edges that some tool reports or a rule of
[a list with reasons](../analyze/justified.json) explains. Both sides' differences are counted by reason below.

"""
    text += table(
        ["package", "files", "edges", "agreed", "recall", "precision", "alone, explained"],
        [
            [row.package.title, row.files, len(row.ours), len(row.agreed), f"{row.recall:.4f}", f"{row.precision:.4f}",
             len(row.alone) - len(row.unexplained["ours"])]
            for row in rows
        ],
    )  # fmt: skip
    text += f"""
Times are wall clock, from nothing that `bell` or a tool keeps itself, taken in turns; the quickest of {args.rounds}. Memory is
the most that the process held, and never less than what the script held that started it: up to about 25 MiB it tells nothing.
*Times as fast* is beside `bell`.

"""
    lines = []
    for row in rows:
        seconds, memory = row.costs["bell"]
        lines.append([row.package.title, "bell", len(row.ours), f"{seconds:.3f}", f"{memory:.0f}", ""])
        for name, edges in row.found.items():
            cost = row.costs.get(name)
            timed = [f"{cost[0]:.3f}", f"{cost[1]:.0f}", f"{cost[0] / seconds:.1f}"] if cost else ["", "", ""]
            lines.append(["", name, len(edges), *timed])
    text += table(["package", "tool", "edges", "seconds", "MiB", "times as fast"], lines)
    text += "\n## Differences by reason\n"
    for side, head in (("ours", "Edges that only `bell` reports"), ("theirs", "Edges that only a tool reports")):
        counted = [(row.package.key, why, n) for row in rows for (s, why), n in row.reasons.items() if s == side]
        text += f"\n{head}:\n\n" + (table(["package", "edges", "reason"], [(k, n, why) for k, why, n in counted]) if counted else "none\n")
    for row in rows:
        for side, edges in row.unexplained.items():
            if edges:
                text += f"\nNot explained, {row.package.title}, reported by {'`bell` alone' if side == 'ours' else 'tools alone'}:\n\n"
                text += "".join(f"- `{a}` → `{b}`\n" for a, b in edges[:SHOWN])
                text += f"- and {len(edges) - SHOWN} more\n" if len(edges) > SHOWN else ""
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bell", required=True, type=Path)
    parser.add_argument("--only", default="", help="names, parted by commas")
    parser.add_argument("--folder", type=Path, help="keep tools and packages here")
    parser.add_argument("--profile", default="release", help="how `bell` was built")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--require", type=float, default=0.99, help="fail below this recall or precision")
    args = parser.parse_args()
    rules = json.loads((HERE / "justified.json").read_text())
    with tempfile.TemporaryDirectory() as temp:
        folder = (args.folder or Path(temp)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        rows = []
        for package in packages(Shelf(folder), [name for name in args.only.split(",") if name]):
            row = Row(package, args.bell.resolve(), args.rounds)
            row.judge(rules)
            rows.append(row)
            print(f"{package.title}: recall {row.recall:.4f}, precision {row.precision:.4f}", file=sys.stderr)
        text = shown(rows, args)
    print(text)
    if args.write:
        RESULTS.write_text(text)
    if any(min(row.recall, row.precision) < args.require for row in rows):
        sys.exit(f"recall or precision is below {args.require}")


if __name__ == "__main__":
    main()
