"""Makes what the peers run in, from pinned versions and the ordinary package clients, under one cache folder.

Three independent steps: a Python environment (pip), a folder of Node modules (npm ci), a Rust binary (cargo). A step
that fails takes its own peers with it and nobody else. Each step is skipped while the files that decide its outcome
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
        folder = self.cache / "python"
        python = folder / "bin" / "python"
        if not python.exists():
            self.say("making a Python environment")
            venv.create(folder, with_pip=True, clear=True)
        pins = HERE / "requirements.txt"
        self._step("python", [pins], [[python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", pins]])
        return [str(python)]

    def _make_node(self):
        node, npm = shutil.which("node"), shutil.which("npm")
        if not node or not npm:
            raise Unavailable("node or npm is not installed")
        headers = pathlib.Path(node).resolve().parent.parent
        if not (headers / "include" / "node" / "node.h").exists():
            raise Unavailable("Node's headers are not beside node, so better-sqlite3 cannot be compiled")
        folder = self.cache / "node"
        folder.mkdir(parents=True, exist_ok=True)
        sources = [HERE / "node" / name for name in ("package.json", "package-lock.json")]
        for source in [*sources, HERE / "node" / "plainjob.js"]:
            shutil.copy(source, folder)
        # Compiled from the registry's source with the headers at hand: nothing prebuilt is fetched from elsewhere.
        settings = {"npm_config_build_from_source": "true", "npm_config_nodedir": str(headers)}
        self._step("node", sources, [[npm, "ci", "--no-audit", "--no-fund"]], cwd=folder, settings=settings)
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


def pinned_version(kind: str, package: str) -> str:
    """Returns the version that a pin file asks for."""
    if kind == "system":
        return sys.version.split()[0]
    if kind == "python":
        pins = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split())
        return pins[package]
    if kind == "node":
        return json.loads((HERE / "node" / "package.json").read_text())["dependencies"][package]
    lock = (HERE / "effectum" / "Cargo.lock").read_text()
    return re.search(rf'name = "{package}"\nversion = "([^"]+)"', lock)[1]
