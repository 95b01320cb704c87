"""Merges rounds and draws the table: one section per workload, fastest first (start_latency: by p99)."""

from statistics import median

from workload import WORKLOADS

COLUMNS = ("peer", "version", "setting", "storage in force", "tasks/s", "range", "p50 ms", "p99 ms", "syncs/task", "notes")
TITLES = {
    "enqueue_single": "one caller, one task per call",
    "enqueue_bulk": "batches of 1,000",
    "drain": "no-op tasks, queue worked empty",
    "dag_1000": "100 layers of 10, each task on 2 or 3 of the layer before",
    "start_latency": "enqueue to start, idle worker",
}


def merge_rounds(rounds: list[dict]) -> dict:
    """One row from the same workload measured several times: medians, and the range of the rates."""
    measured = [row for row in rounds if "seconds" in row]
    if not measured:
        return rounds[-1]
    rates = sorted(row["n"] / row["seconds"] for row in measured)
    merged = dict(measured[-1])
    merged["rounds"] = len(measured)
    merged["tasks_per_s"] = median(rates)
    merged["tasks_per_s_min"], merged["tasks_per_s_max"] = rates[0], rates[-1]
    for key in ("seconds", "p50_ms", "p99_ms"):
        values = [row[key] for row in measured if row.get(key) is not None]
        if values:
            merged[key] = median(values)
    syncs = [row["syncs"] / row["n"] for row in measured if row.get("syncs") is not None and row["n"]]
    if syncs:
        merged["syncs_per_task"] = median(syncs)
    merged.pop("syncs", None)
    lost = len(rounds) - len(measured)
    if lost:
        merged["note"] = f"{lost} of {len(rounds)} rounds failed; {merged.get('note', '')}"
    return merged


def render(rows: list[dict]) -> str:
    lines = []
    for workload in WORKLOADS:
        section = [row for row in rows if row["workload"] == workload]
        tabled = sorted((row for row in section if "not_offered" not in row), key=lambda row: order(workload, row))
        if section:
            lines += [f"### {workload}: {TITLES[workload]}", ""]
        if tabled:
            lines += [*grid(tabled), ""]
        without = {f"{row['peer']} ({row['not_offered']})": None for row in section if "not_offered" in row}
        if without:
            lines += [f"Not offered: {'; '.join(without)}.", ""]
    rest = [row for row in rows if row["workload"] not in WORKLOADS]
    if rest:
        lines += ["### Not measured", "", *(f"- {row['peer']}: failed: {row['failed']}" for row in rest), ""]
    return "\n".join(lines)


def order(workload, row):
    if workload == "start_latency":
        return row["p99_ms"] if row.get("p99_ms") is not None else float("inf")
    return -(row.get("tasks_per_s") or 0)


def grid(rows):
    cells = [COLUMNS, *(tuple(cell.replace("|", "/") for cell in line(row)) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(COLUMNS))]
    written = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    return [written[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *written[1:]]


def line(row):
    head = (row["peer"], row["version"], row["variant"], row.get("storage", ""))
    if "failed" in row:
        return (*head, "–", "", "", "", "", f"failed: {row['failed']}")
    spread = ""
    if row.get("rounds", 1) > 1:
        spread = f"{row['tasks_per_s_min']:,.0f}–{row['tasks_per_s_max']:,.0f}"
    rate = f"{row['tasks_per_s']:,.0f}" if row.get("tasks_per_s") is not None else ""
    note = row.get("note", "")
    if row["workload"] == "dag_1000" and row.get("seconds"):
        note = f"{row['seconds']:.2f} s in all; {note}"
    if row["workload"] == "start_latency":
        rate, spread = "", ""  # paced by the measurement itself
    p50, p99, syncs = (number(row.get(key), 3) for key in ("p50_ms", "p99_ms", "syncs_per_task"))
    return (*head, rate, spread, p50, p99, syncs, note)


def number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"
