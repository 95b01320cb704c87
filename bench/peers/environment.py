"""Makes what the peers run in, from pinned versions and the ordinary package clients, under one cache folder.

Independent steps: Python environments (pip), folders of Node modules (npm ci), a Rust binary (cargo); those on servers have
an environment of their own. A step that fails takes its own peers with it and nobody else. Each step is skipped while the files that decide its outcome
are unchanged, so a second run starts measuring at once.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
SERVERS = HERE / "servers"
STEP_TIMEOUT_S = 900


class Unavailable(Exception):
    """The environment of a peer could not be made; the text says why."""


class Environment:
    def __init__(self, cache: pathlib.Path, say):
        self.cache = cache
        self.say = say
        self._made = {}

    def command(self, kind: str) -> list[str]:
        """Returns how to start a peer of this kind, making its environment first; raises Unavailable."""
        if kind not in self._made:
            try:
                self._made[kind] = getattr(self, f"_make_{kind}")()
            except Unavailable as error:
                self._made[kind] = error
        made = self._made[kind]
        if isinstance(made, Unavailable):
            raise made
        return made

    def sync_counter(self) -> pathlib.Path | None:
        """Returns the library that counts syncs, None where it cannot be built."""
        compiler = shutil.which("cc")
        if not compiler or sys.platform != "linux":
            return None
        library = self.cache / "syncs.so"
        try:
            self._step(
                "sync counter",
                [HERE / "syncs.c"],
                [[compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "syncs.c", "-ldl"]],
            )
        except Unavailable as error:
            self.say(f"syncs are not counted: {error}")
            return None
        return library

    def _make_system(self):
        return [sys.executable]

    def _make_python(self):
        return self._python("python", HERE / "requirements.txt")

    def _make_python_servers(self):
        return self._python("python-servers", SERVERS / "requirements.txt")

    def _python(self, name, pins):
        folder = self.cache / name
        python = folder / "bin" / "python"
        if not python.exists():
            self.say("making a Python environment")
            venv.create(folder, with_pip=True, clear=True)
        self._step(name, [pins], [[python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", pins]])
        return [str(python)]

    def _make_node(self):
        node, _ = node_and_npm()
        headers = pathlib.Path(node).resolve().parent.parent
        if not (headers / "include" / "node" / "node.h").exists():
            raise Unavailable("Node's headers are not beside node, so better-sqlite3 cannot be compiled")
        # Compiled from the registry's source with the headers at hand: nothing prebuilt is fetched from elsewhere.
        settings = {"npm_config_build_from_source": "true", "npm_config_nodedir": str(headers)}
        return self._node("node", HERE / "node", "ci", settings)

    def _make_node_servers(self):
        # What is compiled there only makes packing a little faster, and Node does without. It is listed for systems that not
        # every registry has it for, which `ci` takes for a fault of the lock.
        return self._node("node-servers", SERVERS, "install", {"npm_config_ignore_scripts": "true"})

    def _node(self, name, source, how, settings):
        node, npm = node_and_npm()
        folder = self.cache / name
        folder.mkdir(parents=True, exist_ok=True)
        pins = [source / name for name in ("package.json", "package-lock.json")]
        for file in [*pins, *source.glob("*.js"), HERE / "node" / "workload.js"]:
            shutil.copy(file, folder)
        self._step(name, pins, [[npm, how, "--no-audit", "--no-fund"]], cwd=folder, settings=settings)
        return [node]

    def _make_cargo(self):
        cargo = shutil.which("cargo")
        if not cargo:
            raise Unavailable("cargo is not installed")
        manifest = HERE / "effectum" / "Cargo.toml"
        target = self.cache / "cargo"
        sources = [manifest, manifest.with_name("Cargo.lock"), HERE / "effectum" / "src" / "main.rs"]
        build = [cargo, "build", "--quiet", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target]
        self._step("cargo", sources, [build])
        return [str(target / "release" / "effectum-peer")]

    def _step(self, name, sources, commands, cwd=None, settings=None):
        """Runs commands unless they have succeeded before with the same sources."""
        digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
        stamp = self.cache / f"{name.replace(' ', '-')}.stamp"
        if stamp.exists() and stamp.read_text() == digest:
            return
        self.say(f"preparing {name} (once)")
        for command in commands:
            try:
                done = subprocess.run(
                    [str(part) for part in command],
                    cwd=cwd,
                    env={**os.environ, **(settings or {})},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=STEP_TIMEOUT_S,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Unavailable(str(error)) from error
            if done.returncode != 0:
                last = [line for line in done.stdout.splitlines() if line.strip()][-1:]
                raise Unavailable(f"{pathlib.Path(command[0]).name} exited {done.returncode}: {' '.join(last)}")
        stamp.write_text(digest)


def node_and_npm():
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise Unavailable("node or npm is not installed")
    return node, npm


def pinned_version(kind: str, package: str) -> str:
    """Returns the version that a pin file asks for."""
    if kind == "system":
        return sys.version.split()[0]
    folder = SERVERS if kind.endswith("_servers") else HERE
    if kind.startswith("python"):
        pins = dict(line.split("==") for line in (folder / "requirements.txt").read_text().split())
        return pins[package]
    if kind.startswith("node"):
        folder = folder if folder == SERVERS else HERE / "node"
        return json.loads((folder / "package.json").read_text())["dependencies"][package]
    lock = (HERE / "effectum" / "Cargo.lock").read_text()
    return re.search(rf'name = "{package}"\nversion = "([^"]+)"', lock)[1]
