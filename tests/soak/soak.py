#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A mixed load over a real Tine for a given time, while it is reloaded, scaled, killed, stopped and its logs are rotated;
prints what was done and what memory it took, and 'N passed, N failed'.

    soak.py [--tine BINARY] [--seconds N] [--seed S]

Quiet phases, in which the same workers serve all the time, alternate with troubled ones. At rests the clients hold still
with no connection open, and the processes are measured. Nothing depends on how fast anything is: with fewer requests the
bounds are wider.
"""

import argparse
import json
import multiprocessing
import os
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PROCESSES = 2
LINES_OF_A_MOMENT = 500


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tine", default="./tine", help="the binary (default ./tine)")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of what clients and troubles do (default: the time)")
    args = parser.parse_args()
    os.environ["TINE_BINARY"] = os.path.abspath(args.tine)
    os.environ.setdefault("TINE_TEST_DEADLINE", "90")
    return args


def plan(seconds):
    """[(kind, seconds)]: half of the time or more is quiet, and one quiet phase is long."""
    if seconds < 200:
        return [("quiet", seconds * 0.4), ("trouble", seconds * 0.6)]
    short = [("quiet", 45), ("trouble", 75)]
    times = int(seconds * 0.55 // 120)
    return short * times + [("quiet", seconds - 120 * times - 60), ("trouble", 60)]


class Soak:
    def __init__(self, args):
        import flat
        from client import Gate
        from ledger import Ledger
        from service import Site
        self.args, self.rng = args, random.Random(args.seed)
        self.ledger, self.gate, self.flat = Ledger(), Gate(), flat
        self.site = Site(self.ledger.exit)
        self.lines, self.faults, self.done, self.troubles = [], [], [], {}
        self.phase, self.last = "", {}
        self.missing = 0  # lines of the access log that killed workers took along

    # --- clients ---

    def start_clients(self):
        import client
        import kinds_h1
        import kinds_h2
        import kinds_ws
        groups = [(5, kinds_h1.BUSY, 0.02), (2, kinds_h2.BUSY + kinds_ws.BUSY, 0.02), (3, kinds_h1.SLOW, 0.1)]
        self.processes, self.readers = [], []
        for i in range(PROCESSES):
            here, there = multiprocessing.Pipe(duplex=False)
            p = multiprocessing.Process(target=client.run_process, daemon=True,
                                        args=(f"{i}", self.args.seed, self.site.places, groups, self.gate, there))
            p.start()
            there.close()
            self.processes.append(p)
            self.readers.append(self.ledger.follow(here))

    def end_clients(self):
        self.gate.over.set()
        self.gate.open.set()
        for p in self.processes:
            p.join(self.site.patience)
            if p.is_alive():
                self.faults.append(f"client process {p.pid} does not end")
                p.kill()
        for r in self.readers:
            r.join(5)

    # --- rests ---

    def rest(self):
        """Holds the clients still, waits until the server has nothing left to do; then the figures of all processes."""
        from lib.waiting import wait_for
        self.gate.open.clear()
        wait_for(lambda: self.gate.busy.value == 0, self.site.patience, "the clients to rest")
        pids = self.site.wait_still()
        time.sleep(0.7)  # what the clients counted is on its way
        self.check_access_log()
        for f in self.ledger.judge():
            print(f"unexplained: {f}", flush=True)
        return pids

    def check_access_log(self):
        """Each answered request has exactly one line; a killed worker may take lines of its last moment along."""
        from lib.waiting import wait_for
        def have():
            return self.site.access.counts["k"] + self.missing
        wanted = self.ledger.counts["(kept)"]
        may_miss = 0 if self.phase == "quiet" else LINES_OF_A_MOMENT * len(self.ledger.deaths)
        try:
            wait_for(lambda: have() + may_miss >= wanted, 20, "the access log")
        except AssertionError:
            pass
        if have() + may_miss < wanted or (self.phase == "quiet" and have() > wanted):
            self.faults.append(f"access log, {self.phase}: {have()} lines for {wanted} answers")
        if self.phase != "quiet":
            self.missing += wanted - have()

    # --- phases ---

    def quiet(self, seconds):
        end = time.monotonic() + seconds
        self.gate.open.set()
        time.sleep(min(seconds / 3, 20))
        pids = self.rest()
        lines = [self.flat.Line(f"worker {pid}, {seconds:.0f} s", pid) for pid in pids]
        self.measure(lines)
        step = max((end - time.monotonic()) / 12, min(3, seconds / 6))
        while time.monotonic() < end:
            self.gate.open.set()
            time.sleep(step)
            now = self.rest()
            if now != pids:
                self.faults.append(f"quiet: workers {pids} became {now}")
                return
            self.measure(lines)
        self.lines += lines
        self.gate.open.set()

    def measure(self, lines):
        for line in lines:
            line.add(self.ledger.served(line.pid))
        self.master.add(self.ledger.requests)

    def trouble(self, seconds):
        """All troubles in a random order, again and again, while workers are recycled after few requests."""
        import trouble
        end = time.monotonic() + seconds
        self.gate.open.set()
        # Clients that all come to a new worker may have it keep http.limit_memory, 256 MB, within its first second: a limit below that
        # and what a worker has by itself is too low, as the log would say.
        self.site.configure({"server": {"max_requests": 1500, "max_requests_jitter": 1000, "max_worker_memory": "400m"}})
        self.site.reload()
        todo = []
        while time.monotonic() < end:
            todo = todo or self.rng.sample(trouble.ALL, len(trouble.ALL))
            one = todo.pop()
            started = time.monotonic()
            try:
                one(self.site, self.ledger, self.rng)
                self.troubles[one.__name__] = self.troubles.get(one.__name__, 0) + 1
            except Exception as e:
                self.faults.append(f"{one.__name__}, {time.monotonic() - started:.0f} s: {type(e).__name__}: {e}")
                if not self.site.server.alive():
                    return
            time.sleep(min(self.rng.random() * 2, max(end - time.monotonic(), 0)))
        self.site.configure({"server": {"max_requests": 0, "max_requests_jitter": 0, "max_worker_memory": 0}})
        self.site.ctl("reload")
        self.site.wait_workers()
        self.rest()

    def scraping(self, over):
        while not over.wait(1):
            try:
                self.site.scrape()
            except Exception as e:
                if not over.is_set():
                    self.faults.append(f"scrape: {type(e).__name__}: {e}")

    # --- all of it ---

    def run(self):
        self.site.start()
        self.master = self.flat.Line("master, all the time", self.site.pid, self.flat.MASTER_SETTLING_KB)
        self.start_clients()
        over = threading.Event()
        scraper = threading.Thread(target=self.scraping, args=(over,))
        scraper.start()
        try:
            for self.phase, seconds in plan(self.args.seconds):
                getattr(self, self.phase)(seconds)
                if not self.site.server.alive():
                    raise AssertionError("the server has ended")
                print(f"{self.phase} for {seconds:.0f} s: {self.ledger.requests} requests so far, {len(self.ledger.deaths)} workers "
                      f"killed, {len(self.ledger.unexplained)} failures unexplained, faults: {self.faults}", flush=True)
            self.last = self.site.scrape()
        except Exception as e:
            self.faults.append(f"{self.phase}: {type(e).__name__}: {e}")
        finally:
            self.end_clients()
            over.set()
            scraper.join()
        self.ledger.judge()
        self.faults += self.site.stop()

    def verdicts(self):
        """[(what is judged, faults)]"""
        site, lines = self.site, [line for line in (*self.lines, self.master) if line.samples]
        memory = not site.sanitized
        yield "requests answered right", [] if self.ledger.requests > 0 else ["none"]
        yield "no failure without its reason", [json.dumps(f) for f in self.ledger.unexplained[:20]]
        yield "memory, descriptors, threads at rest", [fault for line in lines for fault in line.faults(memory)]
        yield "the error log has what was brought about", site.errors.unexpected[:10]
        yield "the access log has whole lines", site.access.malformed[:10]
        yield "no word of a sanitizer or a dying Python", site.stderr_faults()
        yield "phases, troubles, end", self.faults

    def report(self):
        total = self.site.total
        print(f"\nseed {self.args.seed}")
        for kind, n in sorted(self.ledger.counts.items()):
            print(f"  {kind:<24} {n:>9}")
        print(f"{self.ledger.requests} tasks and requests; explained failures: {sum(self.ledger.explained.values())} "
              f"{dict(self.ledger.explained)}; workers killed: {len(self.ledger.deaths)}, with {self.missing} lines of the access log; "
              f"crossed the end of an idle connection: {sum(self.ledger.crossed.values())}")
        print("troubles: " + ", ".join(f"{name} {n}" for name, n in sorted(self.troubles.items())))
        print("the server's own count: " + ", ".join(f"{name} {total(self.last, 'tine_' + name + '_total'):.0f}" for name in (
            "requests", "connections_accepted", "tls_handshakes", "tls_resumptions", "http2_streams", "websockets_opened",
            "websocket_messages", "reloads", "worker_starts", "worker_failures", "worker_recycles", "log_lines_dropped")))
        print(self.flat.HEADING)
        for line in [*self.lines, self.master]:
            if line.samples:
                print(line)
                if len(line.samples) > 4:
                    print("    kB at each rest: " + " ".join(str(sample["pss"]) for sample in line.samples))
        good = bad = 0
        for what, faults in self.verdicts():
            print(f"{'FAIL' if faults else 'ok  '} {what}")
            for fault in faults:
                print(f"     {fault}")
            good, bad = good + (not faults), bad + bool(faults)
        print(f"{good} passed, {bad} failed")
        return 1 if bad else 0


def main():
    args = arguments()
    soak = Soak(args)
    try:
        soak.run()
        return soak.report()
    finally:
        soak.site.server.kill()
        soak.site.server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
