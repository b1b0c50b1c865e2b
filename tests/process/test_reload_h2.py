# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2 and the end of a worker: GOAWAY twice (RFC 9113 6.8), and no request lost that was not named unprocessed."""

import os
import signal

import pytest

from lib import certs
from lib.build import linked_with
from lib.h2attacks import Peer
from lib.h2frames import ACK, DATA, END_STREAM, GOAWAY, HEADERS, LARGE, PING, PREFACE, SETTINGS, frame, setting, update
from lib.h2load import H2Load
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import wait_for

if not linked_with("libnghttp2.so"):
    pytest.skip("built without HTTP/2", allow_module_level=True)

WORKERS = {"server": {"workers": 2}}
# Clients leave no core idle meanwhile, and check has six minutes.
FEW, MANY = (4, 10) if "TINE_TEST_EVERYWHERE" in os.environ else (2, 4)


def reload(server):
    mark = server.log_mark()
    server.signal(signal.SIGHUP)
    server.wait_log("reloaded: generation", mark)


def reload_under_load(server, reloads, **options):
    with H2Load(server.address, path="/sized", **options) as load:
        load.more()
        for _ in range(reloads):
            reload(server)
            load.more()
    assert not load.failed, dict(load.counts)
    assert len(load.bodies) == 1, load.bodies.keys()
    return load


def test_reloads_under_load():
    """Each of the 8 connections is asked to leave, and leaves."""
    with Server("answers", WORKERS, flags="h2c", respawn=True) as server:
        load = reload_under_load(server, MANY)
        assert load.notices >= MANY * 4


def test_reloads_under_load_of_short_connections():
    with Server("answers", WORKERS, flags="h2c", respawn=True) as server:
        reload_under_load(server, FEW, per_connection=7)


def test_reloads_under_load_over_tls():
    with Server("answers", WORKERS, tls=True, respawn=True) as server:
        load = reload_under_load(server, FEW, tls=certs.context(alpn=("h2",)))
        assert load.notices >= FEW * 4


def test_worker_that_goes_under_load():
    """recycled by max_requests, while others serve."""
    with Server("answers", {"server": {"workers": 2, "max_requests": 500}}, flags="h2c", respawn=True) as server:
        with H2Load(server.address, path="/sized") as load:
            wait_for(lambda: load.notices >= 4, what="two workers that went")
        assert not load.failed, dict(load.counts)


def test_term_under_load():
    """All that came before the end is answered; what comes later is named unprocessed."""
    port = free_port()
    with Server("answers", {"server": {"workers": 2, "bind": f"127.0.0.1:{port} h2c"}}) as server:
        with H2Load(("127.0.0.1", port), path="/sized") as load:
            load.more()
            server.signal(signal.SIGTERM)
            wait_for(lambda: load.counts["refused"], what="the end of the port")
            server.wait_exit()
        load.counts.pop("refused")
        assert not load.failed, dict(load.counts)


def test_term_with_open_streams():
    """Answers that are under way are waited for, and the connection ends behind them."""
    with Server("turns", flags="h2c") as server:
        with server.connect() as c:
            peer = Peer()
            c.send(PREFACE + frame(SETTINGS, 0, 0, setting(4, 1)) + b"".join(peer.get("/large") for _ in range(10)))
            got = Frames(c)
            while got.data < 10:
                got.one()
            server.signal(signal.SIGTERM)
            while not got.lasts:
                got.one()
            c.send(frame(SETTINGS, 0, 0, setting(4, LARGE)) + update(0, LARGE - 65535))
            while len(got.ended) < 10:
                got.one()
            while got.one():
                pass
            assert got.lasts == [LARGE, 19] and got.data == 10 * 65536


class Frames:
    """What a client needs to know of those that come: bytes of DATA, streams that ended, the last streams of GOAWAY."""

    def __init__(self, conn):
        self.conn, self.data, self.ended, self.lasts = conn, 0, set(), []

    def one(self):
        """False at the end of the connection."""
        while len(self.conn.buffer) < 9 or len(self.conn.buffer) < 9 + int.from_bytes(self.conn.buffer[:3], "big"):
            if not self.conn.fill():
                return False
        head = self.conn.read_exactly(9)
        payload, kind, flags = self.conn.read_exactly(int.from_bytes(head[:3], "big")), head[3], head[4]
        if kind == PING and not flags & ACK:
            self.conn.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self.lasts.append(int.from_bytes(payload[:4], "big"))
        elif kind == DATA:
            self.data += len(payload)
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.ended.add(int.from_bytes(head[5:], "big"))
        return True
