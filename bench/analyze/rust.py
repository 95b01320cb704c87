"""Witnesses for Rust: what the compiler says it read, and what `cargo modules` resolves."""

import json
import os
import re
import shutil
from pathlib import Path

from witnesses import CARGO_MODULES, Package, Witness, run

REPOSITORY = Path(__file__).resolve().parents[2]


def compiled(shelf, target):
    """The modules of every crate that was compiled for `bell`: the compiler's dep-info names the files of each crate,
    and `mod` is what leads to them from its root."""
    metadata = json.loads(run(["cargo", "metadata", "--format-version", "1", "--offline"], REPOSITORY)[0])
    sources = {str(Path(one["manifest_path"]).parent): f"{one['name']}-{one['version']}" for one in metadata["packages"]}
    top = shelf.folder / "crates"
    wanted = {}
    for told in sorted(target.glob("debug/deps/*.d")):
        for root, files in dep_info(told.read_text(), sources).items():
            wanted.setdefault(root, set()).update(files)
    if not top.exists():
        names = {name for root, files in wanted.items() for name in [root.split("/")[0]]}
        for source, name in sources.items():
            if name in names:
                left_out = shutil.ignore_patterns("target", ".git")
                shutil.copytree(source, top / name, ignore=left_out)
                for hidden in (top / name).rglob(".gitignore"):
                    hidden.unlink()
    told = {(root, file) for root, files in wanted.items() for file in files if (top / file).is_file()}

    def ours(report):
        below = {}
        for edge in report["edges"]:
            if edge.get("part"):
                below.setdefault(edge["from"], []).append(edge)
        pairs = {}
        for root in wanted:
            open, met = [(root, False)], {root}
            while open:
                file, under = open.pop()
                for edge in below.get(file, []):
                    if edge["to"] not in met:
                        met.add(edge["to"])
                        here = under or conditional(top, edge)
                        pairs[root, edge["to"]] = {**edge, "conditional": here}
                        open.append((edge["to"], here))
        return pairs

    title = f"{len(wanted)} crates that `bell` is made of (Rust, modules)"
    return Package(
        "modules", title, top, "rust",
        [Witness("dep-info of rustc", ["true"], shelf.folder, lambda _: told, timed=False)],
        ours=ours,
    )  # fmt: skip


def dep_info(text, sources):
    """Of one file of dep-info: the crate's root, and its other files; all after the package's name."""
    files = [line[:-1] for line in text.splitlines() if line.endswith(".rs:")]
    root = re.search(r"^\S+: (\S+\.rs)", text, re.MULTILINE)
    if not root:
        return {}

    def named(path):
        path = path if path.startswith("/") else str(REPOSITORY / path)
        for source, name in sources.items():
            if path.startswith(source + "/"):
                return os.path.normpath(name + path[len(source) :])
        return None

    top = named(root.group(1))
    return {top: {file for file in map(named, files) if file and file != top}} if top else {}


def conditional(top, edge):
    """Whether the `mod` of an edge stands under a `cfg`, or in a macro that may leave it out."""
    to = Path(edge["to"])
    name = to.parent.name if to.name == "mod.rs" else to.stem
    text = (top / edge["from"]).read_text(errors="replace")
    if "#![cfg(" in text or re.search(rf'cfg_attr\([^"]*("[^"]*"[^"]*)*path = "[^"]*{name}\.rs"', text):
        return True
    lines = text.split("\n")
    module = re.compile(rf"\s*(pub(\([^)]*\))?\s+)?mod\s+(r#)?{name}\s*;|.*[{{ ]mod {name};")
    return any(guarded(lines, at) for at, line in enumerate(lines) if module.match(line))


def guarded(lines, at):
    # In a block: of a macro, or of a module that has its own condition.
    if lines[at].startswith((" ", "\t")) or "cfg" in lines[at]:
        return True
    while at > 0 and re.match(r"\s*(#|//|\)|\]|[a-z_]+ *[=(,]|\"|$)", lines[at - 1]):
        at -= 1
        if "cfg" in lines[at]:
            return True
    return False


def tool(shelf):
    return shelf.folder / "cargo/bin/cargo-modules"


def uses(shelf, name, version):
    """What modules use of each other, by `cargo modules`, which asks rust-analyzer."""
    top = shelf.sdist(name, version)
    program = tool(shelf)
    if not program.exists():
        run(["cargo", "install", "--locked", "--root", shelf.folder / "cargo", f"cargo-modules@{CARGO_MODULES}"])
    # What is fetched from repositories of others cannot be had from a registry: nearest releases stand in.
    manifest = top / "Cargo.toml"
    text = manifest.read_text()
    text = re.sub(r'git = "[^"]*lsp-types[^"]*", rev = "[^"]*"', 'version = "0.95.1"', text)
    text = re.sub(r'git = "[^"]*salsa[^"]*", rev = "[^"]*"', 'version = "0.23.0"', text)
    manifest.write_text(text)
    (top / "Cargo.lock").unlink(missing_ok=True)
    crates = sorted(path.parent.parent.name for path in top.glob("crates/*/src/lib.rs"))
    # Types in signatures are met by inference too: only what modules use is compared.
    script = "; ".join(
        f"echo '// {crate}'; {program} modules dependencies -p {crate} --lib --no-externs --no-sysroot 2>/dev/null" for crate in crates
    )

    def parse(text):
        edges, crate = set(), None
        for line in text.splitlines():
            if line.startswith("// "):
                crate = line[3:]
            edge = re.match(r'\s*"([^"]+)" -> "([^"]+)" \[label="uses"', line)
            if edge:
                edges.add((file(top, crate, edge.group(1)), file(top, crate, edge.group(2))))
        return {(a, b) for a, b in edges if a and b and a != b}

    return Package(
        name, f"{name} {version} (Rust, uses inside crates)", top, "rust",
        [Witness(f"cargo modules {CARGO_MODULES}", ["sh", "-c", script], top, parse, check=False)],
        ours=lambda report: {
            (edge["from"], edge["to"]): edge
            for edge in report["edges"]
            if edge["kind"] != "part" and crate_of(edge["from"]) == crate_of(edge["to"]) and "/src/" in edge["from"]
        },
    )  # fmt: skip


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
