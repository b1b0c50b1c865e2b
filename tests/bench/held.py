# SPDX-License-Identifier: BSD-3-Clause
"""What a request that waits in the application costs in memory: many are there at once, all of them with the application."""
import http.client
import socket
import time

DEADLINE = 60


def inside(port):
    """How many requests the application has."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    try:
        c.request("GET", "/inside")
        return int(c.getresponse().read())
    finally:
        c.close()


def wait_inside(port, n):
    end = time.monotonic() + DEADLINE
    while (found := inside(port)) < n:
        if time.monotonic() > end:
            raise OSError("%d of %d requests are in the application" % (found, n))
        time.sleep(0.2)


def load(peer, n, log):
    """Figures of one run, of a server that has just started; None: it cannot do it."""
    connections = []
    if not peer.restart(log):
        return None
    try:
        for _ in range(2):
            inside(peer.port)  # imports, caches
        before, cpu = peer.pss_kb(), peer.cpu_seconds()
        for _ in range(n):
            c = socket.create_connection(("127.0.0.1", peer.port), DEADLINE)
            connections.append(c)
            c.sendall(b"GET /hold HTTP/1.1\r\nHost: bench\r\n\r\n")
        wait_inside(peer.port, n)
        return {"kb_each": (peer.pss_kb() - before) / n, "cpu_us": (peer.cpu_seconds() - cpu) * 1e6 / n, "pss_kb": peer.pss_kb()}
    except OSError as error:
        print("held:", peer.name, error, file=log, flush=True)
        return None
    finally:
        for c in connections:
            c.close()
