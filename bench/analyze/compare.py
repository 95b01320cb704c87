#!/usr/bin/env python3
"""Compares `bell analyze`, edge by edge and by time, with the tools made for one language.

    python3 bench/analyze/compare.py --bell target/release/bell [--only flask,rxjs] [--write]

Packages come from their registries by name and version, into a temporary folder; so do the tools. Go is compared
where `go` is installed, with a module tree of the Go sources Debian ships. `--write` writes
bench/results/analyze.md.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "analyze.md"
TOOLS = {"grimp": "3.19", "ruff": "0.17.5"}
NODE_TOOLS = {"dependency-cruiser": "17.4.3", "madge": "8.0.0", "typescript": "5.9.3"}
ROUNDS = 3

PYTHON = [("django", "5.1.4", "wheel"), ("flask", "3.1.0", "wheel")]
NODE = [("rxjs", "7.8.1", "src"), ("effect", "3.12.0", "src"), ("express", "4.21.2", ".")]
GO = [("golang.org/x/tools", "/usr/share/gocode/src/golang.org/x/tools")]


def run(args, cwd=None, env=None, check=True):
    """Output, seconds, and the most memory of the process tree's largest process, in MiB."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(args, cwd=cwd, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        out.seek(0), err.seek(0)
        if check and child.returncode != 0:
            sys.exit(f"{args}: {err.read().decode()[-2000:]}")
        return out.read().decode(), seconds, usage.ru_maxrss / 1024


def best(args, **more):
    """The quickest of a few rounds."""
    rounds = [run(args, **more) for _ in range(ROUNDS)]
    return min(rounds, key=lambda one: one[1])


class Tools:
    """What the comparison is made with, in a folder of its own."""

    def __init__(self, folder, bell):
        self.folder, self.bell = folder, str(Path(bell).resolve())
        self.venv = folder / "venv"
        self.node = folder / "node"

    def python(self):
        if not self.venv.exists():
            run([sys.executable, "-m", "venv", str(self.venv)])
            wanted = [f"{name}=={version}" for name, version in TOOLS.items()]
            run([str(self.venv / "bin/pip"), "-q", "install", *wanted])

    def javascript(self):
        if not (self.node / "node_modules").exists():
            self.node.mkdir(exist_ok=True)
            (self.node / "package.json").write_text("{}")
            run(["npm", "install", "--silent", *[f"{n}@{v}" for n, v in NODE_TOOLS.items()]], cwd=self.node)

    def wheel(self, name, version):
        into = self.folder / f"{name}-{version}"
        if not into.exists():
            pip = [str(self.venv / "bin/pip"), "-q", "download", "--no-deps", "-d", str(into), f"{name}=={version}"]
            run(pip)
            for wheel in into.glob("*.whl"):
                zipfile.ZipFile(wheel).extractall(into)
        return into

    def npm(self, name, version):
        into = self.folder / f"{name}-{version}"
        if not into.exists():
            into.mkdir()
            run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=into)
            for packed in into.glob("*.tgz"):
                with tarfile.open(packed) as archive:
                    archive.extractall(into, filter="data")
        return into / "package"

    def ours(self, root, *languages):
        args = [self.bell, "analyze", str(root), "--json", "--no-cache", "--language", ",".join(languages)]
        text, seconds, memory = best(args, cwd=self.folder)
        report = json.loads(text)
        edges = {(edge["from"], edge["to"]) for edge in report["edges"]}
        return report, edges, (seconds, memory)


GRIMP = """
import json, sys, grimp
name, root = sys.argv[1:]
graph = grimp.build_graph(name, cache_dir=None)
print(json.dumps({m: sorted(graph.find_modules_directly_imported_by(m)) for m in graph.modules}))
"""


def python_edges(tools, root, name):
    """Tool by tool: its edges between files, and what it took."""

    def file(module):
        path = root / module.replace(".", "/")
        for candidate in (path / "__init__.py", path.with_name(path.name + ".py")):
            if candidate.exists():
                return candidate.relative_to(root).as_posix()
        return None

    found = {}
    env = {**os.environ, "PYTHONPATH": str(root)}
    text, *cost = best([str(tools.venv / "bin/python"), "-c", GRIMP, name, str(root)], cwd=root, env=env)
    graph = json.loads(text)
    found["grimp"] = ({(file(a), file(b)) for a, needed in graph.items() for b in needed}, cost)
    text, *cost = best([str(tools.venv / "bin/ruff"), "analyze", "graph", "--no-cache", "--quiet", name], cwd=root)
    graph = json.loads(text)
    found["ruff analyze graph"] = ({(a, b) for a, needed in graph.items() for b in needed if a != b}, cost)
    return found


def script_edges(tools, root, source):
    found = {}
    bin_folder = tools.node / "node_modules/.bin"
    config = root / "tsconfig.json"
    typed = config.exists()
    args = [str(bin_folder / "depcruise"), "--no-config", "--output-type", "json", "--ts-pre-compilation-deps"]
    args += ["--ts-config", "tsconfig.json"] if typed else []
    text, *cost = best([*args, source], cwd=root, check=False)
    edges = set()
    for module in json.loads(text)["modules"]:
        for dependency in module["dependencies"]:
            edges.add((module["source"], dependency["resolved"]))
    found["dependency-cruiser"] = (edges, cost)
    args = [str(bin_folder / "madge"), "--json", "--extensions", "js,jsx,mjs,cjs,ts,tsx,mts,cts"]
    args += ["--ts-config", "tsconfig.json"] if typed else []
    text, *cost = best([*args, source], cwd=root, check=False)
    base = "" if source == "." else f"{source}/"
    graph = json.loads(text)
    found["madge"] = ({(base + a, os.path.normpath(base + b)) for a, needed in graph.items() for b in needed}, cost)
    return found


def go_edges(root, name):
    env = {**os.environ, "GO111MODULE": "on", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    text, *cost = best(["go", "list", "-e", "-json", "./..."], cwd=root, env=env, check=False)
    decoder, at, edges = json.JSONDecoder(), 0, set()
    while at < len(text):
        package, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        here = os.path.relpath(package["Dir"], root)
        for path in package.get("Imports", []):
            if path == name or path.startswith(name + "/"):
                edges.add((here, path[len(name) + 1:] or "."))
    return {"go list": (edges, cost)}


class Row:
    """One package beside its tools."""

    def __init__(self, title, ours, cost, tools, justified):
        self.title, self.ours, self.cost, self.tools = title, ours, cost, tools
        sets = [edges for edges, _ in tools.values()]
        self.agreed = set.intersection(*sets)
        self.any = set.union(*sets)
        self.missed = self.agreed - ours
        alone = ours - self.any
        self.justified = {edge for edge in alone if reason(justified, edge)}
        self.wrong = alone - self.justified
        self.recall = 1 - len(self.missed) / max(len(self.agreed), 1)
        self.precision = 1 - len(self.wrong) / max(len(ours), 1)


def reason(justified, edge):
    for entry in justified:
        if Path(edge[0]).match(entry["from"]) and Path(edge[1]).match(entry["to"]):
            return entry["why"]
    return None


def compare(tools, only):
    justified = json.loads((HERE / "justified.json").read_text())
    rows = []

    def add(title, name, ours, cost, found):
        rows.append(Row(title, ours, cost, found, justified.get(name, [])))

    for name, version, _ in PYTHON:
        if only and name not in only:
            continue
        tools.python()
        root = tools.wheel(name, version)
        _, edges, cost = tools.ours(root / name, "python")
        edges = {(f"{name}/{a}", f"{name}/{b}") for a, b in edges}
        add(f"{name} {version} (Python)", name, edges, cost, python_edges(tools, root, name))
    for name, version, source in NODE:
        if only and name not in only:
            continue
        tools.javascript()
        root = tools.npm(name, version)
        _, edges, cost = tools.ours(root, "javascript", "typescript")
        base = "" if source == "." else f"{source}/"
        edges = {(a, b) for a, b in edges if a.startswith(base) and b.startswith(base)}
        found = script_edges(tools, root, source)
        files = {path for path in report_files(tools, root) if path.startswith(base)}
        found = {tool: ({(a, b) for a, b in edges if a in files and b in files}, cost) for tool, (edges, cost) in found.items()}
        add(f"{name} {version} (JavaScript, TypeScript)", name, edges, cost, found)
    for name, place in GO:
        if only and "go" not in only or not shutil.which("go") or not Path(place).exists():
            continue
        root = tools.folder / "go"
        if not root.exists():
            shutil.copytree(place, root, symlinks=True)
            if not (root / "go.mod").exists():
                (root / "go.mod").write_text(f"module {name}\n\ngo 1.19\n")
        _, edges, cost = tools.ours(root, "go")
        folders = {(os.path.dirname(a) or ".", os.path.dirname(b) or ".") for a, b in edges if not a.endswith("_test.go")}
        folders = {(a, b) for a, b in folders if a != b}
        add(f"{name} (Go, by package)", "go", folders, cost, go_edges(root, name))
    return rows


def report_files(tools, root):
    text, *_ = run([tools.bell, "analyze", str(root), "--json", "--no-cache"], cwd=tools.folder)
    return json.loads(text)["files"]


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} processors ({model}), {platform.system()} {platform.release()}, load {load:.1f}"


def shown(rows, profile):
    text = "# Source analysis beside tools of one language\n\n"
    text += f"`python3 bench/analyze/compare.py --bell …/bell --write`, {time.strftime('%Y-%m-%d')}, {machine()}, {profile} build.\n\n"
    text += "An edge says that one file needs another. *Agreed* are edges that all tools report; recall is the share of them that `bell`\n"
    text += "finds. Precision is the share of our edges that any tool reports or [a list with reasons](../analyze/justified.json) explains.\n"
    text += f"Times are the quickest of {ROUNDS} runs from nothing, memory the most a process held.\n\n"
    text += "| package | edges | agreed | recall | precision | explained |\n|---|---|---|---|---|---|\n"
    for row in rows:
        text += f"| {row.title} | {len(row.ours)} | {len(row.agreed)} | {row.recall:.4f} | {row.precision:.4f} | {len(row.justified)} |\n"
    text += "\n| package | tool | edges | seconds | MiB |\n|---|---|---|---|---|\n"
    for row in rows:
        text += f"| {row.title} | bell | {len(row.ours)} | {row.cost[0]:.3f} | {row.cost[1]:.0f} |\n"
        for tool, (edges, cost) in row.tools.items():
            text += f"| | {tool} | {len(edges)} | {cost[0]:.3f} | {cost[1]:.0f} |\n"
    for row in rows:
        for what, edges in (("Missed", row.missed), ("Reported by `bell` alone, not explained", row.wrong)):
            if edges:
                text += f"\n{what}, {row.title}:\n\n"
                text += "".join(f"- `{a}` → `{b}`\n" for a, b in sorted(edges)[:20])
                text += f"- and {len(edges) - 20} more\n" if len(edges) > 20 else ""
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bell", required=True)
    parser.add_argument("--only", default="", help="names, or `go`")
    parser.add_argument("--folder", type=Path, help="keep tools and packages here")
    parser.add_argument("--profile", default="release", help="how `bell` was built")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--require", type=float, help="fail below this recall or precision")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temp:
        folder = args.folder or Path(temp)
        folder.mkdir(parents=True, exist_ok=True)
        rows = compare(Tools(folder.resolve(), args.bell), [n for n in args.only.split(",") if n])
    text = shown(rows, args.profile)
    print(text)
    if args.write:
        RESULTS.write_text(text)
    if args.require and any(min(row.recall, row.precision) < args.require for row in rows):
        sys.exit(f"recall or precision is below {args.require}")


if __name__ == "__main__":
    main()
