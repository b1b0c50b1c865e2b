# SPDX-License-Identifier: BSD-3-Clause
"""A server whose figures a test reads over its control socket, and limits of processes that it changes; standard library only."""

import contextlib
import json
import resource
import socket

from lib.server import Server
from lib.waiting import DEADLINE


class Watched(Server):
    def __init__(self, app="hello", config=None, **options):
        config = {name: dict(keys) for name, keys in (config or {}).items()}
        config.setdefault("control", {}).setdefault("socket", "control.sock")
        super().__init__(app, config, **options)

    def ask(self, command):
        """The answer of the control socket to one line."""
        with socket.socket(socket.AF_UNIX) as c:
            c.settimeout(DEADLINE)
            c.connect(str(self.dir / "control.sock"))
            c.sendall(command.encode() + b"\n")
            return json.loads(c.makefile().readline())

    def figure(self, sample):
        """One sample of the metrics, such as 'tine_worker_failures_total{reason="hang"}'."""
        for line in self.ask("metrics")["text"].splitlines():
            name, _, value = line.rpartition(" ")
            if name == sample:
                return float(value)
        raise AssertionError(f"no {sample} among the metrics")


@contextlib.contextmanager
def limited(what, value, *pids):
    """The soft limit of these processes is `value` meanwhile; their children, made meanwhile, keep it."""
    before = {pid: resource.prlimit(pid, what) for pid in pids}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, what, (value, hard))
    try:
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, what, limits)
