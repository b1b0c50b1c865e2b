# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2: an answer that fails in the turn of the loop in which it began: what was given of it leaves before RST_STREAM, as
HTTP/1 sends it before it cuts the connection (RFC 9113 8.1, 5.4.2)."""

import signal

import pytest

pytest.importorskip("hpack")

from lib.h2 import H2  # noqa: E402
from lib.h2frames import DATA, HEADERS, INITIAL_WINDOW, INTERNAL_ERROR, LARGE, RST_STREAM, settings  # noqa: E402
from lib.logged import LOG  # noqa: E402
from lib.server import Server  # noqa: E402
from lib.waiting import wait_for  # noqa: E402

ALLOW = ["Traceback", "[ERROR]"]
ASGI = ["/raises", "/returns", "/short", "/no_file", "/bad_trailers", "/no_trailers"]
WSGI = ["/yields", "/writes", "/writes_and_yields", "/starts_again", "/short"]
SHUT = {INITIAL_WINDOW: 0}


@pytest.fixture
def broken(serve):
    def opened(name="app", conf=None, **options):
        server = serve(f"apps.broken_off:{name}", {**LOG, **(conf or {})}, allow=ALLOW, flags="h2c")
        h = H2(server.connect(), **options)
        h.server = server
        return h
    return opened


def kinds(h, stream):
    """Reads until the stream is reset or ends; its frames."""
    found, a = [], h.answers[stream]
    while not a.ended and a.reset is None:
        kind, _, of, _ = h.read()
        if of == stream and kind in (HEADERS, DATA, RST_STREAM):
            found.append(kind)
    return found


def logs(h, method, path, status, sent, times=1):
    """New lines of the log: this often."""
    line = f"{method} {path} {status} {sent}\n"
    wait_for(lambda: h.server.stdout().count(line) >= times, what=line)


def is_whole_but_reset(h, path):
    lines = h.server.stdout().count(f"GET {path} ")
    stream = h.request(path=path)
    assert kinds(h, stream) == [HEADERS, DATA, RST_STREAM]
    a = h.answers[stream]
    assert a.status == 200 and a.body == b"x" and a.reset == INTERNAL_ERROR and not a.ended
    logs(h, "GET", path, 200, 1, lines + 1)


@pytest.mark.parametrize("path", ASGI)
def test_asgi(broken, path):
    with broken() as h:
        is_whole_but_reset(h, path)
        assert h.get("/ok").body == b"ok"


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("path", WSGI)
def test_wsgi(broken, path, threads):
    with broken("wsgi", {"app": {"threads": threads}}) as h:
        is_whole_but_reset(h, path)
        is_whole_but_reset(h, path)


def test_after_an_interim_answer(broken):
    with broken() as h:
        stream = h.request(path="/hint")
        assert kinds(h, stream) == [HEADERS, HEADERS, DATA, RST_STREAM]
        assert len(h.answers[stream].interim) == 1 and h.answers[stream].body == b"x"


def test_with_others_in_the_same_turn(broken):
    with broken() as h:
        streams = [h.request(path=path) for path in ["/raises", "/ok"] * 20]
        for bad, good in zip(streams[::2], streams[1::2]):
            assert h.answer(bad).body == b"x" and h.answers[bad].reset == INTERNAL_ERROR
            assert h.answer(good).body == b"ok" and h.answers[good].ended


def test_no_body_byte_and_no_window(broken):
    with broken(send_settings=SHUT) as h:
        stream = h.request(path="/empty")
        assert kinds(h, stream) == [HEADERS, RST_STREAM]
        assert h.answers[stream].status == 200 and h.answers[stream].reset == INTERNAL_ERROR
        logs(h, "GET", "/empty", 200, 0)


def test_head_has_all_it_may(broken):
    with broken() as h:
        stream = h.request("HEAD", "/raises")
        assert kinds(h, stream) == [HEADERS] and h.answers[stream].status == 200
        assert h.get("/ok").body == b"ok"
        logs(h, "HEAD", "/raises", 200, 0)


def test_a_body_that_is_still_coming(broken):
    with broken() as h:
        stream = h.request("POST", "/raises", end=False)
        assert kinds(h, stream) == [HEADERS, DATA, RST_STREAM]
        h.data(stream, b"late", end=True)
        assert h.get("/ok").body == b"ok"


def test_the_rest_waits_for_the_window(broken):
    with broken(send_settings={INITIAL_WINDOW: 3}) as h:
        stream = h.request(path="/five")
        a = h.answers[stream]
        h.until(lambda: len(a.body) == 3)
        assert h.ping() and a.body == b"123" and a.reset is None
        h.update(stream, 1).until(lambda: len(a.body) == 4)
        assert h.ping() and a.body == b"1234" and a.reset is None
        assert "/five" not in h.server.stdout()
        h.update(stream, 1000)
        assert h.answer(stream).body == b"12345" and a.reset == INTERNAL_ERROR
        logs(h, "GET", "/five", 200, 5)


def test_a_window_that_stays_shut(broken):
    with broken(conf={"http": {"write_timeout": "500ms"}}, send_settings={INITIAL_WINDOW: 3}) as h:
        a = h.answer(h.request(path="/five"))
        assert a.status == 200 and a.body == b"123" and a.reset == INTERNAL_ERROR
        logs(h, "GET", "/five", 200, 3)


def test_the_client_takes_it_back(broken):
    with broken(conf={"http": {"limit_request_body": 1000}}, send_settings=SHUT) as h:
        stream = h.request(path="/five")
        h.until(lambda: h.answers[stream].headers).reset(stream)
        logs(h, "GET", "/five", 200, 0)
        assert h.send(4, 0, 0, settings({INITIAL_WINDOW: LARGE})).get("/ok").body == b"ok"


def test_the_client_goes(broken):
    with broken(conf={"http": {"limit_request_body": 2000}}, send_settings=SHUT) as h:
        stream = h.request(path="/five")
        h.until(lambda: h.answers[stream].headers).conn.reset()
        logs(h, "GET", "/five", 200, 0)


def test_a_stop_does_not_wait_for_longer_than_it_does():
    with Server("apps.broken_off:app", {**LOG, "server": {"graceful_timeout": "1s"}}, allow=ALLOW, flags="h2c") as server:
        with H2(server.connect(), send_settings=SHUT) as h:
            h.server = server
            stream = h.request(path="/five")
            h.until(lambda: h.answers[stream].headers)
            server.signal(signal.SIGTERM)
            h.read_to_end()
            assert h.answers[stream].reset == INTERNAL_ERROR and h.answers[stream].body == b""
            assert server.wait_exit() == 0
            logs(h, "GET", "/five", 200, 0)
