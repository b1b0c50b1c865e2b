# SPDX-License-Identifier: BSD-3-Clause
"""Memory, descriptors and threads at rest: samples of each process, a straight line through them, and the bounds."""

import os
import re
from pathlib import Path

# At rest no request is under way, so what a process has then is what it keeps. Allocators of nine
# threads that had bodies of some megabytes keep now more, now less, whatever the number of requests; a leak follows that number.
SETTLING_KB = 24576
BYTES_PER_1000 = 8_000
MASTER_SETTLING_KB = 1024
MORE_FDS = 6
MORE_THREADS = 6


def sample(pid):
    """PSS in kB, descriptors, threads."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {"pss": int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)), "fds": len(os.listdir(f"/proc/{pid}/fd")),
            "threads": len(os.listdir(f"/proc/{pid}/task"))}


def slope(points):
    """Of the least-squares line through (x, y)."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mx) ** 2 for x, _ in points)
    return sum((x - mx) * (y - my) for x, y in points) / spread if spread else 0.0


class Line:
    """One process over one phase; samples have "requests" too."""

    def __init__(self, what, pid, settling_kb=SETTLING_KB):
        self.what, self.pid, self.settling, self.samples = what, pid, settling_kb, []

    def add(self, requests):
        self.samples.append({**sample(self.pid), "requests": requests})

    def requests(self):
        return self.samples[-1]["requests"] - self.samples[0]["requests"]

    def per_1000(self):
        """Bytes per 1,000 requests, by the line."""
        return slope([(s["requests"], s["pss"]) for s in self.samples]) * 1024 * 1000

    def faults(self, memory=True):
        first, last = self.samples[0], self.samples[-1]
        grown = slope([(s["requests"], s["pss"]) for s in self.samples]) * self.requests()
        allowed = self.settling + self.requests() * BYTES_PER_1000 / 1000 / 1024
        if memory and grown > allowed:
            yield f"{self.what}: {grown:.0f} kB more in {self.requests()} requests, {allowed:.0f} kB are allowed"
        if last["fds"] > first["fds"] + MORE_FDS:
            yield f"{self.what}: {first['fds']} descriptors became {last['fds']}"
        if last["threads"] > first["threads"] + MORE_THREADS:
            yield f"{self.what}: {first['threads']} threads became {last['threads']}"

    def __str__(self):
        first, last = self.samples[0], self.samples[-1]
        return (f"{self.what:<26} {self.requests():>9} {first['pss']:>8} {last['pss']:>8} {self.per_1000():>11.0f} "
                f"{first['fds']:>5} {last['fds']:>5} {first['threads']:>5} {last['threads']:>5}")


HEADING = (f"{'process at rest':<26} {'requests':>9} {'kB':>8} {'kB':>8} {'B/1000 req':>11} {'fds':>5} {'fds':>5} {'thr':>5} {'thr':>5}")
