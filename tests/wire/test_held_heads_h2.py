# SPDX-License-Identifier: BSD-3-Clause
"""test_held_heads.py for HTTP/2: no HEADERS have left, so the stream gets an answer instead of a reset."""

import signal

import pytest

pytest.importorskip("hpack")

from apps.held import FAILS  # noqa: E402
from lib.h2 import H2  # noqa: E402
from lib.h2frames import INTERNAL_ERROR, NO_ERROR  # noqa: E402
from lib.logged import LOG, logged  # noqa: E402
from lib.server import Server  # noqa: E402


@pytest.fixture(autouse=True)
def for_long(monkeypatch):
    """What a head does that does not wait for so long is in test_head_delay."""
    monkeypatch.setenv("TINE_HTTP_HEAD_DELAY", "1h")


@pytest.mark.parametrize("compress", ["off", "gzip"])
@pytest.mark.parametrize("target", FAILS)
def test_what_fails_before_the_first_byte_is_answered_with_500(serve, target, compress):
    server = serve("held", {**LOG, "http": {"compress": compress}}, allow=["Traceback"], flags="h2c")
    with H2(server.connect()) as h:
        a = h.get(target, headers=[("accept-encoding", "gzip")])
        assert a.status == 500 and a.ended and a.reset is None and a.get("x-own") is None
        assert len(a.body) == int(a.get("content-length"))
        assert h.get("/ok").body == b"ok"
    assert "200" not in logged(server, target.split("?")[0])


def test_a_part_that_was_given_is_reset(serve):
    server = serve("held", LOG, allow=["Traceback"], flags="h2c")
    with H2(server.connect()) as h:
        a = h.get("/part")
        assert a.reset == INTERNAL_ERROR and not a.ended
        assert h.get("/ok").body == b"ok"


def test_a_body_that_stops_while_the_head_is_held(serve):
    server = serve("held", {**LOG, "http": {"body_timeout": "500ms"}}, flags="h2c")
    with H2(server.connect()) as h:
        stream = h.request("POST", "/reads_after_start", end=False)
        a = h.answer(stream)
        assert a.status == 408 and a.get("x-own") is None


def test_what_a_stop_cuts_gets_an_answer():
    with Server("held", {**LOG, "server": {"graceful_timeout": "1s"}}, flags="h2c") as server, H2(server.connect()) as h:
        streams = {}
        for tag, target in {"none": "/waits?tag=none", "held": "/waits?start=1&tag=held", "part": "/waits?part=1&tag=part"}.items():
            streams[tag] = h.request("GET", target)
            server.wait_event(path="waits", tag=tag)
        server.signal(signal.SIGTERM)
        assert h.read_to_end() == NO_ERROR
        for tag in ("none", "held"):
            a = h.answers[streams[tag]]
            assert a.status == 503 and a.ended and a.get("x-own") is None
        assert h.answers[streams["part"]].reset == INTERNAL_ERROR
        assert server.wait_exit() == 0
        assert sorted(logged(server, "/waits")) == ["200", "503", "503"]
