# SPDX-License-Identifier: BSD-3-Clause
"""Sockets to give to a server, and ports for it to open. Standard library only."""

import socket


def listening_socket(family=socket.AF_INET, backlog=2048):
    """A listening socket on a port of 127.0.0.1 or ::1 that the kernel chose."""
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1" if family == socket.AF_INET else "::1", 0))
    s.listen(backlog)
    return s


def free_port():
    """A port that was free a moment ago, for tests of the server's own binding."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
