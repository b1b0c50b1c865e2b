#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A million keep-alive requests against one worker that must leave its memory flat; prints 'N passed, N failed'.

Run in a build directory. Not collected by pytest: it takes the better part of a minute. TINE_SOAK_REQUESTS changes the
number. Answers of one path all have the same size, so the client counts bytes and needs no parser to keep up.
"""

import os
import select
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lib.procfs import memory_kb
from lib.server import Server

REQUESTS = int(os.environ.get("TINE_SOAK_REQUESTS", "1000000"))
CONNECTIONS = 32
BATCH = 16
# What the allocators may still take after the warm-up, in kB; a leak of one byte per request would be ten times this.
SLACK_KB = 1024 if REQUESTS >= 1_000_000 else 4096


class Client:
    """One connection that always has BATCH requests on the way."""

    def __init__(self, server, path):
        self.conn = server.connect()
        self.request = f"GET {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: soak\r\n\r\n".encode()
        answer = self.conn.request("GET", path)
        assert answer.status == 200 and not answer.closes, answer
        self.size = len(answer.raw_head) + len(answer.body)
        self.socket = self.conn.socket
        self.waiting = 0

    def send(self):
        self.waiting = self.size * BATCH
        self.socket.sendall(self.request * BATCH)

    def receive(self):
        """True when the batch is answered."""
        data = self.socket.recv(1 << 20)
        assert data, "the server closed a keep-alive connection"
        self.waiting -= len(data)
        assert self.waiting >= 0, "more bytes than the answers have"
        return self.waiting == 0


def run(server, path, requests):
    clients = {}
    poll = select.epoll()
    for _ in range(CONNECTIONS):
        client = Client(server, path)
        clients[client.socket.fileno()] = client
        poll.register(client.socket, select.EPOLLIN)
    left = requests // BATCH
    for client in clients.values():
        client.send()
        left -= 1
    busy = len(clients)
    while busy:
        for fd, _ in poll.poll(60):
            if not clients[fd].receive():
                continue
            if left > 0:
                clients[fd].send()
                left -= 1
            else:
                busy -= 1
    poll.close()
    for client in clients.values():
        client.conn.close()


def soak(app, path, requests):
    with Server(app, {"server": {"workers": 1}, "http": {"keepalive": "60s"}}) as server:
        worker, = server.workers()
        run(server, path, requests // 10)
        before, started = memory_kb(worker), time.monotonic()
        run(server, path, requests)
        after, seconds = memory_kb(worker), time.monotonic() - started
    grown = after - before
    print(f"{app} {path}: {requests} requests in {seconds:.0f} s, {before} kB before, {after} kB after: {grown:+} kB",
          flush=True)
    return grown <= SLACK_KB


def main():
    results = [soak("hello", "/", REQUESTS), soak("builtin:hello", "/", REQUESTS)]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
