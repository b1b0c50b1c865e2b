# SPDX-License-Identifier: BSD-3-Clause
"""Nothing is held for ever: after a warm-up, what the process holds does not grow with what it has done.

Counted are the blocks of Python's allocator and the bytes of malloc(); under a debug build of Python also all references.
A case is done again and again, in batches; what grows with every batch is a leak. All cases are for a debug build; another
build does some.
"""

import os
import re
import signal
from pathlib import Path

import pytest

from lib.build import ROOT, binary, modules
from lib.procfs import memory_kb, sanitized
from lib.server import Server
from lib.waiting import wait_for
from lib.ws import BINARY, CLOSE, TEXT, WS, close_payload, engines, handshake

ALL = re.search(rb"libpython3\.[0-9]+d\.so", Path(binary()).read_bytes()) or any("d-" in module.name for module in modules())
TIMES = 20
BATCHES = 20
# What a batch may grow by and still count as flat: a few things that do not come with each time.
SLACK = {"references": 2, "blocks": 2, "heap": 256, "descriptors": 0, "kB": 8}


def cases(every, some):
    """Parametrizes a test by name."""
    assert set(some) <= set(every)
    return pytest.mark.parametrize("name", list(every) if ALL else some)


def counts(server):
    return server.get("/counts").json()


def flat(growth):
    return all(growth[what] <= slack for what, slack in SLACK.items() if what in growth)


def check_flat(server, act, times=TIMES):
    """act(times) does it so many times. Two batches one after the other have to be flat."""
    if not any(counts(server).values()):
        pytest.skip("this build can count nothing: Python allocates by the sanitizer's malloc")
    check(lambda: act(times), lambda: counts(server))


def check(act, count):
    """What comes and goes, as a buffer that is there after every other batch, has to be level over four."""
    def is_level():
        last = growths[-4:]
        return len(growths) > 1 and all(map(flat, growths[-2:])) or \
            len(last) == 4 and flat({what: sum(growth[what] for growth in last) for what in before})
    act()
    growths, before = [], count()
    while not is_level():
        assert len(growths) < BATCHES, f"grew by batch: {growths}"
        act()
        after = count()
        growths.append({what: after[what] - before[what] for what in after})
        before = after


# --- what is done ---

def kept(*requests):
    """These on one connection, which stays open; (method, path, headers, body) each."""
    def act(server, times):
        with server.connect() as c:
            for _ in range(times):
                for request in requests:
                    assert c.request(*request).status in (200, 206, 304, 404, 500)
    return act


def single(request, answered=True):
    """On a connection of its own."""
    def act(server, times):
        for _ in range(times):
            with server.connect() as c:
                c.send(request)
                c.half_close()
                assert bool(c.read_to_end()) == answered
    return act


def lost(request, until=b"\r\n\r\n"):
    """The client is gone when it has read so far. Another one asks behind it, so that they come one by one."""
    def act(server, times):
        with server.connect() as other:
            for _ in range(times):
                c = server.connect()
                c.send(request)
                if until:
                    c.read_until(until)
                c.reset()
                assert other.request("GET", "/hello").body == b"Hello"
    return act


def head(method, path, fields=""):
    return f"{method} {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode()


CHUNKED = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n"
HTTP = {
    "get": kept(("GET", "/hello?a=b", [("X-One", "1"), ("Cookie", "a=b")])),
    "many fields": kept(("GET", "/hello?" + "q" * 3000, [(f"X-{i}-{'n' * i}", "v" * i) for i in range(60)])),
    "head": kept(("HEAD", "/hello")),
    "post": kept(("POST", "/echo", (), b"x" * 20000)),
    "stream": kept(("GET", "/stream")),
    "connections": single(head("GET", "/hello", "Connection: close\r\n")),
    "chunked": single(head("POST", "/echo", "Transfer-Encoding: chunked\r\n") + CHUNKED),
    "pipelined": single(head("GET", "/hello") * 3 + head("GET", "/stream")),
    "expect": single(head("POST", "/echo", "Expect: 100-continue\r\nContent-Length: 2\r\n") + b"ok"),
    "refused": single(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "lost in the answer": lost(head("GET", "/endless")),
    "lost while waiting": lost(head("GET", "/waits"), None),
    "lost in the upload": lost(head("POST", "/echo", "Content-Length: 100000\r\n") + bytes(5000), None),
    "error": single(head("GET", "/raises")),
    "error in the answer": single(head("GET", "/raises_late")),
}
ASGI = {
    "wrong messages": kept(("GET", "/wrong")),
    "static": kept(("GET", "/static/slope.py"), ("GET", "/static/slope.py", [("Range", "bytes=0-9")]), ("GET", "/static/none"),
                   ("GET", "/static/slope.py", [("If-Modified-Since", "Fri, 31 Dec 2100 23:59:59 GMT")])),
}
WSGI = {
    **{name: act for name, act in HTTP.items() if name != "lost while waiting"},
    "lines": kept(("POST", "/lines", (), b"line\n" * 5000)),
    "writes": kept(("GET", "/writes")),
    "file": kept(("GET", "/file")),
}
LOOP = ("tasks", "timers", "timeouts", "task_group", "current_task", "cancel_self", "context", "threadsafe", "to_thread",
        "executor",
        "tcp", "transports", "unix", "tls", "datagrams", "sock_calls", "readers", "dns", "async_generator", "queue_and_locks",
        "exception_handler", "run_in_thread", "subprocess_kill")


def h2(do):
    def act(server, times):
        from lib.h2 import H2
        with H2(server.connect()) as h:
            for _ in range(times):
                do(h)
            h.ping()
    return act


def h2_reset(h):
    h.reset(h.request(path="/endless"))


def h2_lost(server, times):
    from lib.h2 import H2
    for _ in range(times):
        h = H2(server.connect())
        h.request(path="/waits")
        h.request(path="/endless")
        h.ping()
        h.conn.reset()


H2_CASES = {"get": h2(lambda h: h.get("/hello")), "post": h2(lambda h: h.post("/echo", b"x" * 20000)),
            "stream": h2(lambda h: h.get("/stream")), "error": h2(lambda h: h.get("/raises")), "reset": h2(h2_reset),
            "static": h2(lambda h: h.get("/static/slope.py")), "lost": h2_lost}


def websocket(path, do, fields=()):
    def act(server, times):
        for _ in range(times):
            with WS(server.connect(), path, fields) as ws:
                do(ws)
    return act


def ws_messages(ws):
    ws.text("one").expect(TEXT, "one").send(BINARY, b"2" * 300).expect(BINARY, b"2" * 300)
    ws.close()


def ws_turned_away(path):
    def act(server, times):
        for _ in range(times):
            with server.connect() as c:
                c.send(handshake(path))
                assert c.read_response().status == 403
    return act


WEBSOCKET = {
    "closed by the client": websocket("/ws_echo", ws_messages),
    "compressed": websocket("/ws_echo", lambda ws: ws.text("x").read() and ws.send(CLOSE, close_payload(1000)).conn.read_to_end(),
                            ["Sec-WebSocket-Extensions: permessage-deflate"]),
    "closed by the application": websocket("/ws_closes", lambda ws: ws.expect_close(1001, "enough", answer=True)),
    "error": websocket("/ws_raises", lambda ws: ws.expect_close(1011, answer=True)),
    "lost": websocket("/ws_echo", lambda ws: ws.text("one").expect(TEXT, "one").conn.reset()),
    "wrong frame": websocket("/ws_echo", lambda ws: ws.send(TEXT, b"\xff").expect_close(1007, answer=True)),
    "refused": ws_turned_away("/ws_refuses"),
    "denied": ws_turned_away("/ws_denies"),
}


# --- the worker ---

@pytest.fixture
def asgi(serve):
    def served(engine="auto", **options):
        return serve("slope", {"static:/static": {"dir": str(ROOT / "tests" / "apps")}, "websocket": {"engine": engine}},
                     allow=["Traceback"], **options)
    return served


@cases([*HTTP, *ASGI], ["get", "post", "stream", "connections", "many fields", "lost in the answer", "lost in the upload", "error",
                         "static"])
def test_http(asgi, name):
    server = asgi(flags="h2c")
    check_flat(server, lambda times: {**HTTP, **ASGI}[name](server, times))


@cases(H2_CASES, ["get", "post", "reset"])
def test_h2(asgi, name):
    pytest.importorskip("hpack")
    server = asgi(flags="h2c")
    check_flat(server, lambda times: H2_CASES[name](server, times))


@cases(["get", "stream", "connections", "lost in the answer"], ["connections"])
def test_tls(asgi, name):
    server = asgi(tls=True)
    check_flat(server, lambda times: HTTP[name](server, times))


@pytest.mark.parametrize("engine", engines())
@cases(WEBSOCKET, ["closed by the client", "error", "lost"])
def test_websocket(asgi, name, engine):
    server = asgi(engine)
    check_flat(server, lambda times: WEBSOCKET[name](server, times))


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    from lib import certs
    folder = tmp_path_factory.mktemp("tls")
    cert = certs.self_signed(folder / "self", "/CN=localhost", extensions=["subjectAltName=DNS:localhost"])
    cert.crt.rename(folder / "cert.pem")
    cert.key.rename(folder / "key.pem")
    return str(folder)


@cases(LOOP, ["tasks", "executor", "tcp", "readers"])
def test_loop(serve, certificate, name):
    server = serve("slope", env={"TINE_TEST_TLS": certificate})
    # OpenSSL fills tables of its own for a while.
    check_flat(server, lambda times: kept(("GET", f"/{name}"))(server, times), TIMES if name == "tls" else 5)


@cases(WSGI, ["get", "post", "stream", "lost in the answer", "error"])
def test_wsgi(serve, name):
    server = serve("apps.slope:wsgi", {"app": {"threads": 2}}, allow=["Traceback"])
    check_flat(server, lambda times: WSGI[name](server, times))


# --- what lives on when workers come and go ---

def held(pid):
    """Of a process that runs no Python."""
    found = {"descriptors": len(os.listdir(f"/proc/{pid}/fd"))}
    return found if sanitized(pid) else {**found, "kB": memory_kb(pid, "RssAnon")}


def reload(server):
    mark = server.log_mark()
    server.signal(signal.SIGHUP)
    server.wait_log("reloaded: generation", mark)
    wait_for(lambda: len(server.workers()) == 1 and len(server.molds()) <= 1, what="the old generation's end")


@pytest.mark.parametrize("preload", [False, True] if ALL else [False])
def test_master_over_reloads(preload):
    config = {"app": {"preload_app": preload}, "static:/static": {"dir": str(ROOT / "tests" / "apps")},
              "control": {"socket": "control.sock"}}
    with Server("hello", config, respawn=True, tls=True) as server:
        check(lambda: [reload(server) for _ in range(3 if ALL else 2)], lambda: held(server.pid))


def test_mold_over_forks():
    """A worker says what it holds when it is new: what its mold holds, and always the same more."""
    with Server("slope", {"server": {"max_requests": 1}, "app": {"preload_app": True}}, respawn=True) as server:
        [mold] = server.molds()

        def used_up(path):
            """One request, and its worker is followed by the next."""
            [old] = server.workers()
            answer = server.get(path)
            wait_for(lambda: len(server.workers()) == 1 and old not in server.workers(), what="the next worker")
            return answer

        check(lambda: [used_up("/hello") for _ in range(3)], lambda: {**used_up("/counts").json(), **held(mold)})
        assert server.molds() == [mold]
