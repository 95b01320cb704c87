"""Merges rounds and draws the table: one section per workload, fastest first (start_latency: by p99)."""

from statistics import median

from workload import WORKLOADS

COLUMNS = ("peer", "version", "setting", "storage in force", "n", "tasks/s", "median", "p50 ms", "p99 ms", "syncs/task", "disk µs", "notes")
TITLES = {
    "enqueue_single": "one caller, one task per call",
    "enqueue_bulk": "batches of 1,000",
    "drain": "no-op tasks, queue worked empty",
    "dag_1000": "100 layers of 10, each task on 2 or 3 of the layer before",
    "start_latency": "enqueue to start, idle worker",
}


def merge_rounds(rounds: list[dict]) -> dict:
    """One row from the same workload measured several times: its best round, and the median rate beside it.

    Others on the machine can only slow a round down, so the best one is nearest to what the peer can do; a median far
    below it says that the machine was busy.
    """
    measured = [row for row in rounds if "seconds" in row]
    if not measured:
        return rounds[-1]
    latency = measured[0]["workload"] == "start_latency"
    best = min(measured, key=lambda row: row["p99_ms"] if latency else row["seconds"] / max(row["n"], 1))
    merged = {**best, "rounds": len(measured), "tasks_per_s": best["n"] / best["seconds"]}
    merged["tasks_per_s_median"] = median(row["n"] / row["seconds"] for row in measured)
    if merged.pop("syncs", None) is not None and best["n"]:
        merged["syncs_per_task"] = best["syncs"] / best["n"]
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
        return (*head, "", "–", "", "", "", "", "", f"failed: {row['failed']}")
    rate, middle = (whole(row.get(key)) for key in ("tasks_per_s", "tasks_per_s_median"))
    if row["workload"] == "start_latency":
        rate, middle = "", ""  # paced by the measurement itself
    note = row.get("note", "")
    if row["workload"] == "dag_1000" and row.get("seconds"):
        note = f"{row['seconds']:.2f} s in all; {note}"
    p50, p99, syncs = (number(row.get(key), 3) for key in ("p50_ms", "p99_ms", "syncs_per_task"))
    return (*head, whole(row.get("n")), rate, middle, p50, p99, syncs, whole(row.get("disk_us")), note)


def whole(value):
    return "" if value is None else f"{value:,.0f}"


def number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"
