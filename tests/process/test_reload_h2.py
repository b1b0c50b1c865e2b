"""HTTP/2 and the end of a worker: GOAWAY twice (RFC 9113 6.8), and no request lost that was not named unprocessed."""

import signal

import pytest

import certs
from h2attacks import ACK, GOAWAY, LARGE, PING, PREFACE, SETTINGS, Peer, frame
from h2load import H2Load
from harness import Server, binary, free_port, wait_for

if b"libnghttp2.so" not in open(binary(), "rb").read():
    pytest.skip("built without HTTP/2", allow_module_level=True)

WORKERS = {"server": {"workers": 2}}


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
        load = reload_under_load(server, 10)
        assert load.notices >= 10 * 4


def test_reloads_under_load_of_short_connections():
    with Server("answers", WORKERS, flags="h2c", respawn=True) as server:
        reload_under_load(server, 4, per_connection=7)


def test_reloads_under_load_over_tls():
    with Server("answers", WORKERS, tls=True, respawn=True) as server:
        load = reload_under_load(server, 4, tls=certs.context(alpn=("h2",)))
        assert load.notices >= 4 * 4


def test_worker_that_goes_under_load():
    """recycled by max_requests, while others serve."""
    with Server("answers", {"server": {"workers": 2, "max_requests": 500}}, flags="h2c", respawn=True) as server:
        with H2Load(server.address, path="/sized") as load:
            load.more(3000)
        assert not load.failed, dict(load.counts)
        assert load.notices


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
    """Requests that are worked on are waited for, and the connection ends behind them."""
    with Server("turns", flags="h2c") as server:
        with server.connect() as c:
            peer, buffer = Peer(), b""
            c.send(PREFACE + frame(SETTINGS))
            c.send(b"".join(peer.get(f"/wait?gate={i}") for i in range(20)))
            for i in range(20):
                server.wait_event(path="wait", gate=str(i))
            server.signal(signal.SIGTERM)
            ended, lasts = set(), []
            while c.fill() or c.buffer:
                buffer, c.buffer = buffer + c.buffer, b""
                while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                    n, kind, flags, stream = int.from_bytes(buffer[:3], "big"), buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big")
                    payload, buffer = buffer[9:9 + n], buffer[9 + n:]
                    if kind == PING and not flags & ACK:
                        c.send(frame(PING, ACK, 0, payload))
                    elif kind == GOAWAY:
                        lasts.append(int.from_bytes(payload[:4], "big"))
                        if len(lasts) == 1: # the notice: new requests are still taken
                            c.send(b"".join(peer.get(f"/open?gate={i}") for i in range(20)))
                    elif kind <= 1 and flags & 1:
                        ended.add(stream)
            assert lasts == [LARGE, 79] and ended == set(range(1, 80, 2))
