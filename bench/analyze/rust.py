"""Witnesses for Rust: which files the compiler reads for each crate, and what `cargo modules` resolves.

Both look at the source archive of one workspace. It is read as it is unpacked: what it needs from elsewhere is not
compiled, neither for `rustc`, which tells the files of a crate before it looks for others, nor for `cargo modules`,
which does without build scripts and derived code.
"""

import json
import os
import re
import shutil
from pathlib import Path

from witnesses import CARGO_MODULES, Package, Witness, run

# What is fetched from repositories of others cannot be had from a registry: nearest releases stand in.
NEAREST = {"lsp-types": "0.95.1", "salsa": "0.24.0"}

# What rust-analyzer would have built before it answers: hundreds of packages, and none of our edges.
NO_CHECK = """#!/bin/sh
[ "$1" = check ] && exit 0
exec cargo "$@"
"""

DEP_INFO = """
import json, os, subprocess, sys, tempfile
cargo = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
for package in json.loads(subprocess.run(cargo, capture_output=True, check=True).stdout)["packages"]:
    said = {f"CARGO_PKG_{key.upper()}": package.get(key) or "" for key in ("name", "version", "homepage")}
    env = {**os.environ, **said, "CARGO_MANIFEST_DIR": os.path.dirname(package["manifest_path"]), "RUSTC_BOOTSTRAP": "1"}
    features = [word for name in package["features"] for word in ("--cfg", f'feature="{name}"')]
    for target in package["targets"]:
        with tempfile.TemporaryDirectory() as folder:
            told = f"{folder}/told.d"
            # It fails for want of other crates, and has told the files by then.
            subprocess.run(
                ["rustc", "--emit=dep-info", "--edition", target["edition"], "--crate-name", "one", "--cfg", "test", *features,
                 "-Zcrate-attr=recursion_limit=\\"4096\\"", "--cap-lints", "allow", "--error-format", "short", "-o", told,
                 target["src_path"]],
                env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            here = os.getcwd() + "/"
            files = [line.strip()[:-1] for line in open(told) if line.rstrip().endswith(".rs:")]
            files = [os.path.normpath(file).removeprefix(here) for file in files]
            print(json.dumps([target["src_path"].removeprefix(here), files]))
"""


def modules(shelf, name, version):
    """Which files belong to which crate: those that `mod` leads to from its root. Tests and all features are on."""
    top = shelf.sdist(name, version)
    roots = set()

    def parse(text):
        pairs = set()
        for line in text.splitlines():
            root, files = json.loads(line)
            roots.add(root)
            pairs.update((root, file) for file in files if file != root)
        return pairs

    def ours(report):
        below = {}
        for edge in report["edges"]:
            if edge.get("part"):
                below.setdefault(edge["from"], []).append(edge)
        pairs = {}
        for root in roots:
            open, met = [root], {root}
            while open:
                for edge in below.get(open.pop(), []):
                    if edge["to"] not in met:
                        met.add(edge["to"])
                        pairs[root, edge["to"]] = edge
                        open.append(edge["to"])
        return pairs

    return Package(
        "modules", f"{name} {version} (Rust, files of crates)", top, "rust",
        [Witness(f"dep-info of {rustc()}", ["python3", "-c", DEP_INFO], top, parse, timed=False)],
        ours=ours,
    )  # fmt: skip


def rustc():
    return " ".join(run(["rustc", "--version"])[0].split()[:2])


def tool(shelf):
    return shelf.folder / "cargo/bin/cargo-modules"


def uses(shelf, name, version, left_out=()):
    """What modules of each library use of each other, by `cargo modules`, which asks rust-analyzer."""
    top = nearest(shelf, name, version)
    program = tool(shelf)
    if not program.exists():
        run(["cargo", "install", "--locked", "--root", shelf.folder / "cargo", f"cargo-modules@{CARGO_MODULES}"])
    cargo = shelf.folder / "no-check/cargo"
    cargo.parent.mkdir(exist_ok=True)
    cargo.write_text(NO_CHECK)
    cargo.chmod(0o755)
    run(["cargo", "fetch"], top)
    crates = sorted(path.parent.parent.name for path in top.glob("crates/*/src/lib.rs"))
    crates = [crate for crate in crates if crate not in left_out]
    script = "; ".join(
        f"echo '// {crate}'; {program} modules dependencies -p {crate} --lib --cfg-test --no-externs --no-sysroot 2>/dev/null"
        for crate in crates
    )
    env = {**os.environ, "CARGO": str(cargo), "CARGO_NET_OFFLINE": "true"}
    libraries = {f"crates/{crate}" for crate in crates}

    # It reports all that a glob brings in, used or not: only what a `use` names is compared.
    def mentions(path, name):
        named = " ".join(re.findall(r"\buse\s[^;]*;", (top / path).read_text()))
        return re.search(rf"\b{re.escape(name)}\b", named) is not None

    def parse(text):
        edges, crate = set(), None
        for line in text.splitlines():
            if line.startswith("// "):
                crate = line[3:]
            edge = re.match(r'\s*"([^"]+)" -> "([^"]+)" \[label="uses"', line)
            if edge:
                pair = (file(top, crate, edge.group(1)), file(top, crate, edge.group(2)))
                if pair[0] != pair[1] and mentions(pair[0], edge.group(2).split("::")[-1]):
                    edges.add(pair)
        return edges

    def ours(report):
        inside = (edge for edge in report["edges"] if edge["kind"] != "part" and crate_of(edge["from"]) in libraries)
        return {
            (edge["from"], edge["to"]): edge
            for edge in inside
            if crate_of(edge["from"]) == crate_of(edge["to"])
            and "/src/" in edge["from"]
            and not edge["from"].endswith("/src/main.rs")
        }

    return Package(
        "uses", f"{name} {version} (Rust, uses inside {len(crates)} libraries)", top, "rust",
        [Witness(f"cargo modules {CARGO_MODULES}", ["sh", "-c", script], top, parse, env=env, check=False, once=True)],
        ours=ours,
    )  # fmt: skip


def nearest(shelf, name, version):
    """A copy of the archive whose packages all come from the registry."""
    top = shelf.folder / f"{name}-{version}-nearest"
    if not top.exists():
        shutil.copytree(shelf.sdist(name, version), top)
        manifest = top / "Cargo.toml"
        text = manifest.read_text()
        for package, release in NEAREST.items():
            text = re.sub(rf'git = "[^"]*{package}[^"]*", rev = "[^"]*"', f'version = "{release}"', text)
        manifest.write_text(text)
        (top / "Cargo.lock").unlink(missing_ok=True)
    return top


def crate_of(path):
    return "/".join(path.split("/")[:2])


def file(top, crate, path):
    """The file of the deepest module of a path, by where Cargo looks for modules."""
    parts = path.split("::")[1:]
    base = f"crates/{crate}/src"
    for length in range(len(parts), 0, -1):
        inner = "/".join(parts[:length])
        for candidate in (f"{base}/{inner}.rs", f"{base}/{inner}/mod.rs"):
            if (top / candidate).is_file():
                return candidate
    return f"{base}/lib.rs"
