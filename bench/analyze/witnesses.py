"""The tools that `bell analyze` is compared with, and the packages it is compared on.

All of them come from their registries by name and version, through the registries' own clients, into one folder.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

PYTHON_TOOLS = {"grimp": "3.19", "ruff": "0.17.5"}
NODE_TOOLS = {"dependency-cruiser": "17.4.3", "madge": "8.0.0", "typescript": "5.9.3"}
CARGO_MODULES = "0.27.0"
SCRIPTS = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts")


def run(args, cwd=None, env=None, check=True):
    """Output, seconds, and the most memory that the process held, in MiB."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([str(arg) for arg in args], cwd=cwd, stdout=out, stderr=err, env=env)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        out.seek(0), err.seek(0)
        if check and child.returncode != 0:
            sys.exit(f"{args}: {err.read().decode()[-2000:]}")
        return out.read().decode(), seconds, usage.ru_maxrss / 1024


@dataclass
class Witness:
    """Something else that says what needs what."""

    name: str
    args: list
    cwd: Path
    # What it printed → pairs of paths.
    parse: Callable[[str], set]
    env: dict = None
    # Whether its time is that of the same work.
    timed: bool = True
    check: bool = True
    # Whether it takes minutes, and runs once.
    once: bool = False


@dataclass
class Package:
    key: str
    title: str
    # What `bell analyze` is pointed at, and what of it is read.
    root: Path
    languages: str
    witnesses: list
    # Our edge → the pair that the witnesses would report, or None if they do not look there.
    scope: Callable[[dict], tuple] = lambda edge: (edge["from"], edge["to"])
    # The same for a whole report, where a pair is more than an edge: pair → edge.
    ours: Callable[[dict], dict] = None
    # Where a file of such a pair is, for the rules of justified.json.
    folder: Path = None

    def pairs(self, report):
        if self.ours:
            return self.ours(report)
        found = {}
        for edge in report["edges"]:
            pair = self.scope(edge)
            if pair:
                found.setdefault(pair, edge)
        return found


class Shelf:
    """A folder with tools and packages."""

    def __init__(self, folder):
        self.folder = folder
        self.venv = folder / "venv"
        self.node = folder / "node"

    def pip(self, *args, env=None):
        if not self.venv.exists():
            run([sys.executable, "-m", "venv", self.venv])
            wanted = [f"{name}=={version}" for name, version in PYTHON_TOOLS.items()]
            run([self.venv / "bin/pip", "-q", "install", *wanted])
        return run([self.venv / "bin/pip", "-q", *args], env=env) if args else None

    def npm(self):
        if not (self.node / "node_modules").exists():
            self.node.mkdir(exist_ok=True)
            (self.node / "package.json").write_text("{}")
            run(["npm", "install", "--silent", *[f"{n}@{v}" for n, v in NODE_TOOLS.items()]], cwd=self.node)
        return self.node / "node_modules/.bin"

    def wheel(self, name, version):
        into = self.folder / f"{name}-{version}"
        if not into.exists():
            self.pip("download", "--no-deps", "-d", into, f"{name}=={version}")
            for wheel in into.glob("*.whl"):
                zipfile.ZipFile(wheel).extractall(into)
                wheel.unlink()
        return into

    def sdist(self, name, version):
        """The source archive. A stand-in for its build system, so that nothing is built to get it."""
        into = self.folder / f"{name}-{version}"
        if not into.exists():
            stand_in = self.folder / "stand-in/maturin"
            stand_in.mkdir(parents=True, exist_ok=True)
            (stand_in / "__init__.py").write_text(STAND_IN)
            packed = self.folder / "packed"
            env = {**os.environ, "PYTHONPATH": str(stand_in.parent)}
            self.pip(
                "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation",
                "-d", packed, f"{name}=={version}", env=env,
            )  # fmt: skip
            for archive in packed.glob(f"{name}-{version}.tar.gz"):
                with tarfile.open(archive) as archive:
                    archive.extractall(self.folder, filter="data")
        return into

    def node_package(self, name, version):
        into = self.folder / f"{name}-{version}"
        if not into.exists():
            into.mkdir()
            run(["npm", "pack", "--silent", f"{name}@{version}"], cwd=into)
            for packed in into.glob("*.tgz"):
                with tarfile.open(packed) as archive:
                    archive.extractall(into, filter="data")
        return into / "package"


STAND_IN = '''
import os


def get_requires_for_build_wheel(settings=None):
    return []


def prepare_metadata_for_build_wheel(into, settings=None):
    with open("PKG-INFO") as told:
        text = told.read()
    said = dict(line.split(": ", 1) for line in text.split("\\n\\n")[0].splitlines() if ": " in line)
    name = f"{said['Name']}-{said['Version']}.dist-info"
    os.makedirs(f"{into}/{name}")
    with open(f"{into}/{name}/METADATA", "w") as file:
        file.write(text)
    return name
'''

GRIMP = """
import json, sys, grimp
graph = grimp.build_graph(sys.argv[1], cache_dir=None)
print(json.dumps({m: sorted(graph.find_modules_directly_imported_by(m)) for m in graph.modules}))
"""


def pairs(graph):
    return {(a, b) for a, needed in graph.items() for b in needed if a != b}


def python(shelf, name, version):
    shelf.pip()
    top = shelf.wheel(name, version)

    def file(module):
        path = top / module.replace(".", "/")
        for candidate in (path / "__init__.py", path.with_name(path.name + ".py")):
            if candidate.exists():
                return candidate.relative_to(top).as_posix()
        return None

    def grimp(text):
        return {(file(a), file(b)) for a, b in pairs(json.loads(text))}

    return Package(
        name, f"{name} {version} (Python)", top / name, "python",
        [
            Witness(f"grimp {PYTHON_TOOLS['grimp']}", [shelf.venv / "bin/python", "-c", GRIMP, name], top, grimp,
                    env={**os.environ, "PYTHONPATH": str(top)}),
            Witness(f"ruff analyze graph {PYTHON_TOOLS['ruff']}",
                    [shelf.venv / "bin/ruff", "analyze", "graph", "--isolated", "--quiet", name], top,
                    lambda text: pairs(json.loads(text))),
        ],
        scope=lambda edge: (f"{name}/{edge['from']}", f"{name}/{edge['to']}"),
        folder=top,
    )  # fmt: skip


def script(shelf, name, version, source):
    """`source` is the folder that is looked at, in the package."""
    tools = shelf.npm()
    top = shelf.node_package(name, version)
    base = "" if source == "." else f"{source}/"
    typed = ["--ts-config", "tsconfig.json"] if (top / "tsconfig.json").exists() else []

    def inside(edges):
        here = lambda path: path.startswith(base) and path.endswith(SCRIPTS) and (top / path).is_file()
        return {(a, b) for a, b in edges if here(a) and here(b) and a != b}

    def cruiser(text):
        modules = json.loads(text)["modules"]
        return inside((one["source"], dep["resolved"]) for one in modules for dep in one["dependencies"])

    def madge(text):
        return inside((base + a, os.path.normpath(base + b)) for a, b in pairs(json.loads(text)))

    common = ["--ts-pre-compilation-deps", *typed, source]
    extensions = ",".join(ending[1:] for ending in SCRIPTS)
    return Package(
        name, f"{name} {version} ({'TypeScript' if source == 'src' else 'JavaScript'})", top / source,
        "javascript,typescript",
        [
            Witness(f"dependency-cruiser {NODE_TOOLS['dependency-cruiser']}",
                    [tools / "depcruise", "--no-config", "--output-type", "json", *common], top, cruiser, check=False),
            Witness(f"madge {NODE_TOOLS['madge']}",
                    [tools / "madge", "--json", "--extensions", extensions, *typed, source], top, madge, check=False),
        ],
        scope=lambda edge: (base + edge["from"], base + edge["to"]),
        folder=top,
    )  # fmt: skip


def go(shelf, module, place):
    """By package: `go list` says nothing of files. Of the files only those that it takes for this system."""
    top = shelf.folder / "go"
    if not top.exists():
        shutil.copytree(place, top, symlinks=True)
        if not (top / "go.mod").exists():
            (top / "go.mod").write_text(f"module {module}\n\ngo 1.19\n")
    taken = set()

    def parse(text):
        decoder, at, edges = json.JSONDecoder(), 0, set()
        while at < len(text):
            package, at = decoder.raw_decode(text, at)
            at += len(text[at:]) - len(text[at:].lstrip())
            here = os.path.relpath(package["Dir"], top)
            for kind in ("GoFiles", "CgoFiles", "TestGoFiles", "XTestGoFiles"):
                taken.update(os.path.normpath(f"{here}/{name}") for name in package.get(kind) or [])
            for kind in ("Imports", "TestImports", "XTestImports"):
                for path in package.get(kind) or []:
                    if path == module or path.startswith(module + "/"):
                        edges.add((here, path[len(module) + 1 :] or "."))
        return {(a, b) for a, b in edges if a != b}

    def scope(edge):
        pair = (os.path.dirname(edge["from"]) or ".", os.path.dirname(edge["to"]) or ".")
        return pair if edge["from"] in taken and pair[0] != pair[1] else None

    version = re.search(r"go(\d+(\.\d+)*)", run(["go", "version"])[0]).group(1)
    env = {**os.environ, "GO111MODULE": "on", "GOFLAGS": "-mod=mod", "GOPROXY": "off"}
    return Package(
        "go", f"{module} of Debian (Go, by package)", top, "go",
        [Witness(f"go list {version}", ["go", "list", "-e", "-json", "./..."], top, parse, env=env, check=False)],
        scope=scope,
    )  # fmt: skip
