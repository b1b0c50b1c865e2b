#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Faults at full size, of which the tests have the small ones; run in a build directory. Prints a line for each, and fails when
something that must hold does not: idle connections and WebSockets by the ten thousand, an upload of ten gigabytes, a hundred
slow readers of a gigabyte each, reloads ten times a second for half a minute.

    measure_faults.py [--scale 0.1] [idle websockets upload readers storm]
"""

import argparse
import contextlib
import os
import resource
import select
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.load import Load
from lib.procfs import memory_kb
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import TEXT, WS

TIMES = {"body_timeout": "1h", "write_timeout": "1h", "keepalive": "1h", "header_timeout": "1h"}
MB = 1 << 20


def probe(server, path, n=2000):
    """Median and 99th percentile, in ms, of requests one after the other on one connection."""
    took = []
    with server.connect() as c:
        for _ in range(n):
            began = time.perf_counter()
            assert c.request("GET", path).status == 200
            took.append((time.perf_counter() - began) * 1000)
    took.sort()
    return took[n // 2], took[n * 99 // 100]


def idle_connections(what, n, app, path, open_one):
    """Memory of each, what the worker does meanwhile, and what others notice."""
    config = {"server": {"worker_connections": n + 100}, "http": TIMES, "websocket": {"ping_interval": "1h"}}
    with Server(app, config) as s, contextlib.ExitStack() as stack:
        worker, = s.workers()
        stack.enter_context(open_one(s))
        alone, before = probe(s, path), memory_kb(worker)
        for _ in range(n):
            stack.enter_context(open_one(s))
        each = (memory_kb(worker) - before) / n
        among = probe(s, path)
        print(f"{what}: {n}, {each:.2f} kB each; a probe takes {alone[0]:.3f} ms (p99 {alone[1]:.3f}) alone, "
              f"{among[0]:.3f} ms (p99 {among[1]:.3f}) among them", flush=True)
        return each < 24


def idle(scale):
    def open_one(s):
        c = s.connect()
        assert c.request("GET", "/").status == 200
        return c
    return idle_connections("idle keep-alive connections", int(10000 * scale), "hello", "/", open_one)


def websockets(scale):
    def open_one(s):
        w = WS(s.connect(), "/echo")
        w.text("one").expect(TEXT, "one")
        return w
    return idle_connections("idle WebSockets", int(10000 * scale), "websockets", "/report?id=none", open_one)


def upload(scale):
    """The application first takes nothing, then all of it."""
    total = int(10240 * scale) * MB
    with Server("heavy", {"http": TIMES}) as s:
        worker, = s.workers()
        s.get("/hello")
        before, data, sent = memory_kb(worker), memoryview(bytes(MB)), 0
        with s.connect() as c:
            c.send(f"POST /ignores_upload HTTP/1.1\r\nHost: a\r\nContent-Length: {total}\r\n\r\n")
            s.wait_event(path="ignores_upload", state="waiting")
            c.socket.setblocking(False)
            while sent < total and select.select([], [c.socket], [], 1)[1]:
                sent += c.socket.send(data[:total - sent])
            held, held_kb = sent, memory_kb(worker) - before
            s.get("/release")
            c.timeout = 3600
            c.socket.settimeout(60)
            began = time.monotonic()
            while sent < total:
                sent += c.socket.send(data[:min(MB, total - sent)])
            answer = c.read_response().body
        grown = memory_kb(worker, "VmHWM") - before
        print(f"upload of {total / 1024 / MB:.1f} GiB: {held / MB:.1f} MiB taken while nobody read, {held_kb} kB more; then all in "
              f"{time.monotonic() - began:.0f} s, {grown} kB more at most", flush=True)
        return answer == str(total).encode() and grown < 32 * 1024 and held < 64 * MB


def readers(scale):
    """A hundred clients that read 64 KB of a gigabyte now and then, for half a minute."""
    n = 100
    with Server("heavy", {"http": TIMES, "server": {"graceful_timeout": "1s"}}) as s, contextlib.ExitStack() as stack:
        worker, = s.workers()
        s.get("/hello")
        before, got, most = memory_kb(worker), 0, 0
        conns = [stack.enter_context(s.connect(rcvbuf=65536)) for _ in range(n)]
        for c in conns:
            c.send_request("GET", "/download?mb=1024")
        end = time.monotonic() + 30 * scale
        while time.monotonic() < end:
            for c in conns:
                got += len(c.socket.recv(65536))
            most = max(most, memory_kb(worker) - before)
            select.select([], [], [], 0.05)
        median, p99 = probe(s, "/hello", 500)
        print(f"{n} slow readers of 1 GiB: {got / MB:.0f} MiB read, {most} kB more at most, {most / n:.0f} kB each; a probe takes "
              f"{median:.3f} ms (p99 {p99:.3f})", flush=True)
        return most < n * 512


def storm(scale):
    """HUP each 100 ms under load: nobody is refused, generations do not pile up, and the last version serves."""
    text = ("import asyncio\nasync def app(scope, receive, send):\n    assert scope['type'] == 'http'\n"
            "    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-length', b'%d')]})\n"
            "    await send({'type': 'http.response.body', 'body': b'%s'})\n")
    with tempfile.TemporaryDirectory() as folder:
        def write(version):
            Path(folder, "new").write_text(text % (len(version), version))
            Path(folder, "new").rename(Path(folder, "storm.py"))  # never half a file
        write("0")
        config = {"server": {"workers": 2}, "app": {"pythonpath": folder}}
        with Server("storm:app", config, respawn=True) as s, Load(s.address, per_connection=20, rate=None) as load:
            end, n, most = time.monotonic() + 30 * scale, 0, 0
            while time.monotonic() < end:
                n += 1
                write(str(n))
                s.signal(signal.SIGHUP)
                most = max(most, len(s.workers()))
                select.select([], [], [], 0.1)
            wait_for(lambda: s.get("/").body == str(n).encode(), what="the last version")
            wait_for(lambda: len(s.workers()) == 2, what="two workers")
            load.stop()
            done = s.log().count("reloaded: generation")
        print(f"{n} times HUP: {done} reloads, {load.ok} answers, failed: {load.failed or 0}, at most {most} workers", flush=True)
        return not load.failed and most <= 8


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--scale", type=float, default=1.0, help="of sizes and times")
    options.add_argument("what", nargs="*", default=["idle", "websockets", "upload", "readers", "storm"])
    arguments = options.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"load average before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    results = [globals()[name](arguments.scale) for name in arguments.what]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
