#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Misuse over real sockets: applications that call what the server gives them from several threads and from inside their own
objects' methods (tests/apps/havoc.py), as seeds have it, while clients talk to them over HTTP/1, HTTP/2 and WebSocket.

What such an application answers is its own affair; but an answer must be whole HTTP or be cut, the same worker must be alive and
serve others afterwards, and the log must be clean of what sanitizers and assertions write.

    threads_live.py [--tine BINARY] [--seconds 60] [--seed N] [--only asgi-sub]

Standard library only. Threads make a run differ from the next of the same seed; what fails is found again by trying for longer.
"""

import argparse
import os
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

CASES = {"asgi-sub": ("apps.havoc:app", {"interpreter": "sub"}), "asgi-main": ("apps.havoc:app", {"interpreter": "main"}),
         "wsgi-inline": ("apps.havoc:wsgi", {"threads": 1}), "wsgi-pool": ("apps.havoc:wsgi", {"threads": 4})}
# What the application's own exceptions leave in the log.
ALLOWED = ["Traceback", "was never awaited", "was never retrieved", "Exception ignored"]
CLIENTS = 4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tine", default="./tine", help="the binary (default ./tine)")
    parser.add_argument("--seconds", type=float, default=60, help="for all cases together (default 60)")
    parser.add_argument("--seed", default=str(int(time.time())), help="of all requests (default: the time)")
    parser.add_argument("--only", choices=CASES, help="one case")
    args = parser.parse_args()
    os.environ["TINE_BINARY"] = os.path.abspath(args.tine)
    return args


args = arguments() if __name__ == "__main__" else None

from lib.client import Conn, Truncated  # noqa: E402
from lib.h2 import H2  # noqa: E402
from lib.server import Server  # noqa: E402
from lib.ws import CLOSE, TEXT, frame, handshake  # noqa: E402

LOST = (Truncated, ConnectionError, TimeoutError)


def over_http_1(r, c, path):
    for _ in range(r.randrange(1, 4)):
        body = r.choice([None, b"", b"abc\n" * r.randrange(500), b"x" * 100000])
        c.send_request("GET" if body is None else "POST", path, body=body, chunks=r.choice([None, [body[:7], body[7:]]]) if body and len(body) > 7 else None)
        if r.random() < 0.2:
            return
        c.read_response()


def over_http_2(r, c, path):
    h = H2(c)
    streams = [h.request("POST", path, end=False) for _ in range(r.randrange(1, 4))]
    for stream in streams:
        if r.random() < 0.8:
            h.data(stream, b"abc\n" * r.randrange(500), end=r.random() < 0.8)
        else:
            h.reset(stream)
    h.ping()


def over_websocket(r, c, path):
    c.send(handshake(path))
    if c.read_response().status != 101:
        return
    for _ in range(r.randrange(5)):
        c.send(frame(TEXT, b"text"))
    if r.random() < 0.5:
        c.send(frame(CLOSE, b"\x03\xe8"))
    c.read_to_end()


def visit(address, seed, kinds):
    """One client's connection, sound but perhaps short."""
    r = random.Random(seed)
    kind = r.choice(kinds)
    with Conn(address, timeout=r.choice([0.1, 0.2, 0.5]), rcvbuf=r.choice([None, 4096])) as c:
        try:
            kind(r, c, f"/?seed={seed}")
        except LOST:
            pass
        except AssertionError as e:
            if "deadline" not in str(e) and "in time" not in str(e):
                raise
        if r.random() < 0.5:
            c.reset()


def run(name, seed, seconds):
    """Until the time is up; the number of connections, or the fault."""
    app, options = CASES[name]
    kinds = [over_http_1, over_http_2] + ([over_websocket] if name.startswith("asgi") else [])
    config = {"app": options, "server": {"workers": 1, "graceful_timeout": "3s"}}
    with Server(app, config, flags="h2c", allow=ALLOWED) as server, ThreadPoolExecutor(CLIENTS) as pool:
        before, n, end = server.workers(), 0, time.monotonic() + seconds
        while time.monotonic() < end or n < 3 * CLIENTS:
            numbers = range(n, n + 3 * CLIENTS)
            for _ in pool.map(lambda number: visit(server.address, f"{seed}-{name}-{number}", kinds), numbers):
                n += 1
            assert server.get("/").body == b"well", f"connections {numbers}"
            assert server.workers() == before, f"the worker ended in connections {numbers}"
    return n


def main():
    names = [args.only] if args.only else list(CASES)
    passed = failed = 0
    for name in names:
        try:
            n = run(name, args.seed, args.seconds / len(names))
            print(f"ok   {name}: {n} connections, seed {args.seed}", flush=True)
            passed += 1
        except (AssertionError, OSError) as e:
            print(f"FAIL {name}, seed {args.seed}: {type(e).__name__}: {e}", flush=True)
            failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
