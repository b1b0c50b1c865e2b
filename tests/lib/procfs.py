# SPDX-License-Identifier: BSD-3-Clause
"""What the kernel says of processes. Linux; standard library only."""

import os
import re
import signal
from pathlib import Path

from lib.waiting import wait_for


def sanitized(pid):
    """Whether the process runs under AddressSanitizer: its memory is then mostly the sanitizer's own."""
    return "libasan" in Path(f"/proc/{pid}/maps").read_text()


def processes_of_session(sid):
    """Ids of the living processes (zombies left out) of a session, the leader's own included."""
    found = []
    for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit()):
        try:
            if os.getsid(pid) != sid:  # much cheaper than reading what the kernel writes about each
                continue
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rpartition(")")[2].split()[0] != "Z":
                    found.append(pid)
        except OSError:
            continue
    return sorted(found)


def children_of(pid):
    """Ids of the living direct children of a process."""
    found = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                found += map(int, f.read().split())
        except OSError:
            continue
    return sorted(found)


def name_of(pid):
    """What the kernel calls the process, at most 15 characters; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().rstrip("\n")
    except OSError:
        return ""


def memory_kb(pid, what="VmRSS"):
    """A memory figure of /proc/PID/status in kB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{what}:\s+(\d+) kB", text, re.M).group(1))


def freeze(pid):
    """SIGSTOP, until all threads of the process have stopped: while one is told, another may still take a connection."""
    def stopped(task):
        try:
            return (task / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
        except OSError:
            return True
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: all(stopped(task) for task in Path(f"/proc/{pid}/task").glob("*")), what=f"process {pid} to stop")
