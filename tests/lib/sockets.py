# SPDX-License-Identifier: BSD-3-Clause
"""Sockets to give to a server, and ports for it to open. Standard library only."""

import random
import socket


def listening_socket(family=socket.AF_INET, backlog=2048):
    """A listening socket on a port of 127.0.0.1 or ::1 that the kernel chose."""
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    s.listen(backlog)
    return s


def ports_of_the_kernel():
    """The first of those that the kernel gives to whoever names none."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        return int(f.read().split()[0])


given = set()


def free_port():
    """A port that was free a moment ago, for tests of the server's own binding: none that the kernel gives to somebody meanwhile,
    and none twice."""
    while True:
        port = random.randrange(10240, max(ports_of_the_kernel(), 20480))
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in given:
            given.add(port)
            return port
