"""Runs `bell bench --json` and turns its rows into rows of this table.

The object is expected as {machine, durability, rows: [{name, workload, n, value, unit, p50_ms?, p99_ms?, raw?, ratio?,
note?}]}. A row's value is read by its unit: a rate, or a time. Rows of other workloads are left to `bell bench`.
"""

import json
import os
import pathlib
import subprocess

from workload import WORKLOADS

TIMEOUT_S = 900
TIME_UNITS_MS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0}


def rows(bell: pathlib.Path, quick=False, variant="", store="", durability="") -> list[dict]:
    """`store` is the URL of a server; `variant` is what the table calls it."""
    command = [bell, "bench", "--json", *WORKLOADS, *(["--quick"] if quick else [])]
    settings = dict(os.environ)
    if store:
        command += ["--store", store]
        settings["BELLWETHER_DURABILITY"] = durability
    try:
        done = subprocess.run(command, env=settings, capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode != 0:
            # With --json a refusal is an answer too.
            last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            return [failed(f"exit {done.returncode}: {last}")]
        printed = json.loads(done.stdout)
        merged = [{**merge(row, printed.get("durability")), "variant": variant} for row in printed["rows"] if row.get("name") in WORKLOADS]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, subprocess.TimeoutExpired) as error:
        return [failed(f"{type(error).__name__}: {error}")]
    return merged or [failed("printed no row of these workloads")]


def failed(why: str) -> dict:
    return {"peer": "bell", "version": "", "variant": "", "workload": "", "failed": f"bell bench --json: {why}"}


def merge(row: dict, durability) -> dict:
    merged = {
        "peer": "bell",
        "version": str(row.get("version", "")),
        "variant": "",
        "workload": row["name"],
        "n": row.get("n"),
        "storage": f"durability={row.get('durability', durability)}",
        "note": "; ".join(notes(row)),
        "p50_ms": row.get("p50_ms"),
        "p99_ms": row.get("p99_ms"),
    }
    value, unit = row.get("value"), str(row.get("unit", ""))
    if value is None:
        return merged
    if unit in TIME_UNITS_MS:
        milliseconds = value * TIME_UNITS_MS[unit]
        if row["name"] == "dag_1000":
            merged["seconds"] = milliseconds / 1000
            merged["tasks_per_s"] = (row.get("n") or 1000) / merged["seconds"]
        elif merged["p50_ms"] is None:
            merged["p50_ms"] = milliseconds
    elif unit.endswith("/s"):
        merged["tasks_per_s"] = value
    else:
        merged["note"] = "; ".join([f"{value} {unit}", *notes(row)])
    return merged


def notes(row: dict) -> list[str]:
    said = []
    if row.get("spec"):
        said.append(f"SPEC {row['spec']}")
    if row.get("raw") is not None:
        said.append(f"raw {row['raw']:,}" if isinstance(row["raw"], (int, float)) else f"raw {row['raw']}")
    if row.get("ratio") is not None:
        said.append(f"ratio {row['ratio']}")
    if row.get("note"):
        said.append(str(row["note"]))
    return said
