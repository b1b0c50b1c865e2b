# SPDX-License-Identifier: BSD-3-Clause
"""The soak's book: what was asked and answered, what was done to workers, and which failures that explains.

A failure is explained only by the death of a worker that the soak killed, or stopped until the watchdog did: on a connection
that this worker is known to have had, or, where no answer had named one yet, on one that was opened before and failed after.

A request that crosses the end of a connection that has been idle for longer than the grace of a worker that leaves
(RFC 9112 9.5: clients ask again) is counted by itself.
"""

import threading
from collections import Counter


GRACE = 0.05       # of connections that have had an answer, in a worker that leaves
LEAVING = 60       # a worker that leaves is gone by then


class Ledger:
    def __init__(self):
        self.counts, self.pids = Counter(), Counter()
        self.pending, self.explained, self.unexplained = [], Counter(), []
        self.deaths, self.exits, self.crossed = [], {}, Counter()
        self.lock = threading.Lock()

    def follow(self, pipe):
        """Takes in what a client process sends, in a thread."""
        def run():
            while True:
                try:
                    counts, pids, failures = pipe.recv()
                except (EOFError, OSError):
                    return
                with self.lock:
                    self.counts.update(counts)
                    self.pids.update(pids)
                    self.pending += failures
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def death(self, pid, began, died):
        """The worker was killed, or stopped, at `began` and was gone at `died`."""
        with self.lock:
            self.deaths.append((pid, began, died))

    def exit(self, pid, at):
        """The worker had left by itself, as it was asked to."""
        with self.lock:
            self.exits[pid] = at

    def judge(self):
        """Sorts what failed so far; called when every death so far is known. Returns the new unexplained ones."""
        with self.lock:
            pending, self.pending = self.pending, []
            new = []
            for f in pending:
                if any(self.explains(d, f["at"], link["opened"], link["pid"]) for link in f["links"] for d in self.deaths):
                    self.explained[f["kind"]] += 1
                elif any(self.crosses(f["at"], link) for link in f["links"]):
                    self.crossed[f["kind"]] += 1
                else:
                    new.append(f)
            self.unexplained += new
            return new

    @staticmethod
    def explains(death, at, opened, pid):
        dead, began, died = death
        if pid is None:
            return opened <= began <= at
        return pid == dead and opened <= died and at >= began

    def crosses(self, at, link):
        left = self.exits.get(link["pid"])
        return link["idle"] is not None and at - link["idle"] >= GRACE and left is not None and left - LEAVING < at <= left + 1

    @property
    def requests(self):
        with self.lock:
            return sum(n for kind, n in self.counts.items() if not kind.startswith("("))

    def served(self, pid):
        with self.lock:
            return self.pids[pid]
