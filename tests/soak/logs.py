# SPDX-License-Identifier: BSD-3-Clause
"""Reads the server's logs while it writes and rotates them: every line of the access log is held against its form, every
error of the error log against the list of those that the soak brings about."""

import re
import threading
import time
from collections import Counter

# What the soak does to the server, and what that makes of errors in its log.
EXPECTED = [re.compile(text) for text in (
    r"soak: (broken )?on purpose",
    r"gave no sign of life for .* \(server\.timeout\)",
    r"has held a request of|holds \d+ more",
    r"was killed by SIGKILL",
    r"workers are replaced too often|starts again in .* s: it has ended within a second of being ready",
    r"reload: the configuration is wrong|reload failed|the application could not be loaded|could not be loaded",
)]
LINE = re.compile(r"(\d{4}-\d\d-\d\d|\[\d{4}-\d\d-\d\d)")
LEVEL = re.compile(r"\[(ERROR|CRITICAL)\]|Sanitizer|runtime error: |Assertion `|Fatal Python error|was never awaited|"
                   r"was never retrieved|Exception ignored|lost sys.stderr")
EXIT = re.compile(r"\(pid (\d+)\) exited with status 0$")
ACCESS = re.compile(r'<\d+> (\d{3}|0|-) (-|\S*) "[^"]*" (\d+|-)')


class Follower(threading.Thread):
    """Gives every whole line of a file to take(line), across rotations by renaming."""

    def __init__(self, path, take):
        super().__init__(daemon=True)
        self.path, self.take, self.over, self.file, self.rest = path, take, threading.Event(), None, b""
        self.lock = threading.Lock()

    def run(self):
        while not self.over.wait(0.05):
            self.poll()

    def poll(self):
        with self.lock:
            if self.file is None:
                if not self.path.exists():
                    return
                self.file = open(self.path, "rb")
            self.read()

    def read(self):
        *lines, self.rest = (self.rest + self.file.read()).split(b"\n")
        for line in lines:
            self.take(line.decode(errors="replace"))

    def rotated(self, old):
        """The file was renamed to `old` and the server has opened a new one: the old one has all that it will ever have."""
        with self.lock:
            if self.file:
                self.read()
                self.file.close()
            self.file = open(self.path, "rb")
        old.unlink()

    def stop(self):
        self.over.set()
        self.join()
        self.poll()
        if self.rest:
            self.take(self.rest.decode(errors="replace"))


class ErrorLog:
    """Records of the error log: a line with its time and what follows it without one."""

    KEPT = 5000

    def __init__(self, on_exit):
        """on_exit(pid, time): a worker ended as it was asked to."""
        self.on_exit = on_exit
        self.lines, self.base, self.unexpected, self.record = [], 0, [], []
        self.changed = threading.Condition()

    def take(self, line):
        with self.changed:
            self.lines.append(line)
            if len(self.lines) > 2 * self.KEPT:
                self.base += self.KEPT
                del self.lines[:self.KEPT]
            self.changed.notify_all()
        if LINE.match(line):
            self.judge()
            if (match := EXIT.search(line)):
                self.on_exit(int(match.group(1)), time.monotonic())
        self.record.append(line)

    def judge(self):
        """Of the record that is complete now."""
        text, self.record = "\n".join(self.record), []
        if LEVEL.search(text) and not any(e.search(text) for e in EXPECTED):
            self.unexpected.append(text)

    def mark(self):
        with self.changed:
            return self.base + len(self.lines)

    def since(self, mark):
        """Lines behind the mark that are no part of a traceback."""
        return [line for line in self.lines[max(mark - self.base, 0):] if LINE.match(line) and "Exception in" not in line]

    def wait(self, pattern, mark, timeout):
        """The match of a line behind the mark."""
        def found():
            return next(filter(None, (re.search(pattern, line) for line in self.lines[max(mark - self.base, 0):])), None)
        with self.changed:
            match = self.changed.wait_for(found, timeout)
        assert match, f"deadline is over, still waiting for {pattern!r} in the log"
        return match


class AccessLog:
    """Counts lines by the first letter of the request's name."""

    def __init__(self):
        self.counts, self.malformed = Counter(), []

    def take(self, line):
        match = ACCESS.fullmatch(line)
        if not match:
            self.malformed.append(line[:300])
            return
        name = match.group(2).rpartition("id=")[2]
        self.counts[name[:1] or "-"] += 1
