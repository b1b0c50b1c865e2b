# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures: `serve` shares one running Tine per application and configuration among the tests of a process."""

import json
import os
import sys

# tests/run: where pytest keeps what it has compiled, for the other processes of the same run. Programs that tests start do not.
if "TINE_TEST_CACHE" in os.environ:
    sys.pycache_prefix, sys.dont_write_bytecode = os.environ["TINE_TEST_CACHE"], False

import pytest  # noqa: E402

from lib.server import Server  # noqa: E402


# How many servers a process of the tests keeps: eight processes with all that they ever need take 20 GB under AddressSanitizer.
KEPT = 6


class Pool:
    def __init__(self):
        self.servers = {}  # by use: the latest is the last one
        self.faults = []

    def get(self, app, config=None, **options):
        key = json.dumps([app, config, options], sort_keys=True, default=str)
        server = self.servers.get(key)
        if server is not None and not server.alive():
            del self.servers[key]
            try:
                server.stop()
            finally:
                raise AssertionError("the shared server had ended")
        if server is None:
            while len(self.servers) >= KEPT:
                self.stop_oldest()
            server = Server(app, config, **options).__enter__()
        self.servers.pop(key, None)
        self.servers[key] = server
        return server

    def stop_oldest(self):
        server = self.servers.pop(next(iter(self.servers)))
        try:
            server.stop()
        except Exception as e:  # the others must be stopped whatever went wrong with this one
            self.faults.append(f"{server.app}: {e!r}")

    def stop(self):
        while self.servers:
            self.stop_oldest()
        assert not self.faults, "\n".join(self.faults)


@pytest.fixture(scope="session")
def pool():
    p = Pool()
    yield p
    p.stop()


@pytest.fixture
def serve(pool):
    """serve("hello", {"http": {"keepalive": "1s"}}) -> a running Server, shared; the test must leave it as it was."""
    return pool.get


@pytest.fixture
def open_h2(serve):
    """open_h2("answers", {"http": {}}) -> an HTTP/2 connection in the clear to a shared server, or to `server`; .server is it.
    Skips where HTTP/2 or python3-hpack is missing."""
    from lib.h2 import H2
    conns = []

    def opened(app="answers", config=None, server=None, allow=(), **options):
        server = server or serve(app, config, flags="h2c", allow=allow)
        h = H2(server.connect(), **options)
        h.server = server
        conns.append(h)
        return h
    yield opened
    for h in conns:
        h.conn.close()
