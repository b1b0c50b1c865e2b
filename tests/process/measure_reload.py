#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures what an operator asks first: requests lost by reloads and by kill -9, time to the first answer, memory.

    TINE_BINARY=./tine tests/process/measure_reload.py [--reloads 100] [--every 1.0] [--clients 16] [--only NAME]

Not a test: it takes minutes and judges nothing but prints. The clients never ask twice: each request is sent once, and
counted by what came of it. They run in processes of their own, with bare sockets, so as to leave time to the server.
"""

import argparse
import multiprocessing
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lib.procfs import children_of
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import wait_for

LAST = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
MORE = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Client:
    """One connection after the other, `per_connection` requests on each."""

    def __init__(self, address, per_connection, counts):
        self.address, self.per_connection, self.counts = address, per_connection, counts
        self.open()

    def open(self):
        self.socket = socket.socket()
        self.socket.settimeout(20)
        self.n, self.got = 0, b""
        try:
            self.socket.connect(self.address)
        except OSError:
            self.counts["refused"] += 1
            self.socket.close()
            return self.open()
        self.ask()

    def ask(self):
        self.got = b""
        try:
            self.socket.sendall(LAST if self.n + 1 >= self.per_connection else MORE)
        except OSError:
            pass  # what reading then says counts

    def on_readable(self):
        """True: a new connection was opened."""
        try:
            piece = self.socket.recv(65536)
        except OSError:
            piece = b""
        self.got += piece
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not piece:
            self.counts["race" if self.n and not self.got else "lost"] += 1
        elif not found or len(body) < int(re.search(rb"(?i)content-length: (\d+)", head).group(1)):
            return False
        else:
            self.counts["ok" if head.startswith(b"HTTP/1.1 200") else head.split(b" ", 2)[1].decode()] += 1
            self.n += 1
            if self.n < self.per_connection and b"connection: close" not in head.lower():
                self.ask()
                return False
        self.socket.close()
        self.open()
        return True


def run_clients(address, clients, per_connection, stop, queue):
    counts = Counter()
    poll = select.epoll()
    by_fd = {}
    for _ in range(clients):
        c = Client(address, per_connection, counts)
        by_fd[c.socket.fileno()] = c
        poll.register(c.socket, select.EPOLLIN)
    heard = time.monotonic()
    while not stop.is_set():
        for fd, _ in poll.poll(1):
            heard = time.monotonic()
            c = by_fd.pop(fd)
            if c.on_readable():
                poll.register(c.socket, select.EPOLLIN)
            by_fd[c.socket.fileno()] = c
        if time.monotonic() - heard > 20:
            counts["silent for 20 s"] += 1
            break
    queue.put(counts)


class Load:
    def __init__(self, address, clients, per_connection, processes=1):
        self.stop, self.queue = multiprocessing.Event(), multiprocessing.Queue()
        self.processes = [multiprocessing.Process(target=run_clients, args=(address, clients // processes, per_connection,
                                                                             self.stop, self.queue)) for _ in range(processes)]

    def __enter__(self):
        for p in self.processes:
            p.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.counts = sum((self.queue.get(timeout=30) for _ in self.processes), Counter())
        for p in self.processes:
            p.join()


def measure_reloads(o):
    """SIGHUP again and again under load."""
    for per_connection in (1, 10**9):
        with Server("hello", {"server": {"workers": 2}}, respawn=True) as server:
            with Load(server.address, o.clients, per_connection, rate=None) as load:
                start, n = time.monotonic(), 0
                while n < o.reloads:
                    server.signal(signal.SIGHUP)
                    n += 1
                    time.sleep(max(0, start + n * o.every - time.monotonic()))
            reloads = server.log().count("reloaded: generation")
        print(f"reload: {'close per request' if per_connection == 1 else 'keep-alive'}: {n} SIGHUP, {reloads} reloads in "
              f"{time.monotonic() - start:.0f} s, {dict(load.counts)}", flush=True)


def measure_kills(o):
    """kill -9 of a worker again and again under load: what is lost, and how long until there are as many again."""
    with Server("hello", {"server": {"workers": 2}}, respawn=True) as server:
        back = []
        with Load(server.address, o.clients, 20, rate=None) as load:
            for _ in range(o.kills):
                before = server.workers()
                start = time.monotonic()
                mark = server.log_mark()
                os.kill(before[0], signal.SIGKILL)
                server.wait_log(r"\(pid \d+\) is ready", mark)
                back.append(time.monotonic() - start)
                time.sleep(max(0, start + 1 - time.monotonic()))
    lost = sum(n for what, n in load.counts.items() if what != "ok")
    print(f"kill -9: {o.kills} workers, {lost} requests lost with {o.clients} clients, {dict(load.counts)}; a new worker ready "
          f"after {sorted(back)[len(back) // 2]:.2f} s (median), {max(back):.2f} s (most)", flush=True)


def first_answer(argv, port, cwd):
    start = time.monotonic()
    process = subprocess.Popen(argv, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
                    s.sendall(LAST)
                    if s.recv(100).startswith(b"HTTP/1.1 200"):
                        return time.monotonic() - start
            except OSError:
                time.sleep(0.001)
    finally:
        process.terminate()
        process.wait()


def measure_start(o):
    """From exec to the first answer."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.py").write_text(Path(Path(__file__).parent.parent / "apps" / "hello.py").read_text())
        from lib.build import binary
        rows = {"tine": lambda p: [binary(), "-b", f"127.0.0.1:{p}", "a:app"],
                "uvicorn": lambda p: [o.uvicorn, "--port", str(p), "a:app"] if o.uvicorn else None}
        for name, argv in rows.items():
            times = sorted(first_answer(argv(p), p, folder) for p in (free_port() for _ in range(5)) if argv(p))
            if times:
                print(f"first answer: {name}: {times[2] * 1000:.0f} ms (median of 5)", flush=True)


def pss(pid):
    return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1)) / 1024


def measure_memory(o):
    """Proportional set size after 1,000 requests."""
    with Server("hello", {"server": {"workers": 2}}) as server:
        wait_for(lambda: server.log().count(" is ready") == 2)
        for _ in range(1000):
            assert server.get("/").status == 200
        print(f"memory: master {pss(server.pid):.1f} MB, workers "
              f"{', '.join(f'{pss(pid):.1f}' for pid in server.workers())} MB", flush=True)
    if o.uvicorn:
        port = free_port()
        p = subprocess.Popen([o.uvicorn, "--port", str(port), "--workers", "2", "apps.hello:app"],
                             cwd=Path(__file__).parent.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: len(children_of(p.pid)) >= 2)
            for _ in range(1000):
                wait_for(lambda: answered(port))
            print(f"memory: uvicorn: supervisor {pss(p.pid):.1f} MB, children "
                  f"{', '.join(f'{pss(pid):.1f}' for pid in children_of(p.pid))} MB", flush=True)
        finally:
            p.terminate()
            p.wait()


def answered(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(LAST)
            return s.recv(100).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--reloads", type=int, default=100)
    p.add_argument("--every", type=float, default=1.0)
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--clients", type=int, default=16)
    p.add_argument("--uvicorn", help="the program to compare with")
    p.add_argument("--only", choices=["start", "memory", "kills", "reloads"])
    o = p.parse_args()
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    for name in ("start", "memory", "kills", "reloads"):
        if o.only in (None, name):
            globals()[f"measure_{name}"](o)


if __name__ == "__main__":
    main()
