"""Says what the figures were measured on: only what bears on them, nothing that names the machine."""

import os
import pathlib
import time

SYNC_SAMPLES = 50


def describe(folder: pathlib.Path) -> dict:
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "file_system": file_system(folder),
    }


class Patience:
    """Waits for a disk that is not busy, before each peer, but not for ever: one allowance for the whole run."""

    def __init__(self, quiet_us: int | None, allowance_s: float = 300):
        self.quiet_us = quiet_us
        self.left_s = allowance_s

    def wait(self, folder: pathlib.Path):
        while self.quiet_us and self.left_s > 0 and sync_cost(folder) > self.quiet_us:
            time.sleep(1)
            self.left_s -= 1


def file_system(folder: pathlib.Path) -> str:
    """Returns the type of the mount that holds the folder; "unknown" where /proc does not tell."""
    best, kind = "", "unknown"
    try:
        mounts = pathlib.Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return kind
    for line in mounts:
        _, point, this_kind = line.split()[:3]
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, this_kind
    return kind


def sync_cost(folder: pathlib.Path) -> int:
    """Returns the median of appending 4 KiB and syncing it, in µs: the floor under every durable single enqueue."""
    path = folder / "sync-cost"
    samples = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(SYNC_SAMPLES):
            before = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fdatasync(file.fileno())
            samples.append(time.perf_counter() - before)
    path.unlink()
    return round(sorted(samples)[len(samples) // 2] * 1e6)
