# SPDX-License-Identifier: BSD-3-Clause
"""Messages of an application whose types are not quite those of the specification are taken where their meaning is clear, as other
servers take them."""

import pytest

from apps import lenient
from lib.ws import CLOSE, WS, close_payload


@pytest.fixture(params=["http/1.1", "h2"])
def fetch(serve, request):
    """(status, value of X-Answer, body) of a response; the log stays without errors."""
    server = serve("lenient", flags="h2c" if request.param == "h2" else "")

    def fetched(path):
        if request.param == "h2":
            answer = pytest.importorskip("lib.h2").H2(server.connect()).get(path)
            return answer.status, answer.get("x-answer"), answer.body
        answer = server.get(path)
        return answer.status, answer.get("x-answer"), answer.body
    yield fetched
    assert "[ERROR]" not in server.log()


@pytest.fixture
def server(serve):
    s = serve("lenient")
    yield s
    assert "[ERROR]" not in s.log()


@pytest.mark.parametrize("kind, status", [("enum", 201), ("subclass", 202), ("index", 203)])
def test_status_may_be_anything_that_is_an_int(fetch, kind, status):
    assert fetch(f"/?kind={kind}") == (status, "yes", b"answered")


@pytest.mark.parametrize("kind", [k for k in lenient.VALUES if k not in lenient.STATUSES])
def test_fields_may_be_anything_like_bytes(fetch, kind):
    assert fetch(f"/?kind={kind}") == (200, "yes", b"answered")


@pytest.mark.parametrize("kind", list(lenient.MAPPINGS))
def test_message_may_be_any_mapping(fetch, kind):
    assert fetch(f"/?kind={kind}") == (200, "yes", b"answered")


@pytest.mark.parametrize("kind", [*lenient.REASONS, "code"])
def test_close_before_accept_is_403_whatever_it_holds(server, kind):
    """FastAPI sends a list of faults as the reason."""
    with server.connect() as c:
        c.send(f"GET /rejects?kind={kind} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert c.read_response().status == 403


@pytest.mark.parametrize("kind, reason", [
    ("list", "[{'loc': ['query', 'n']}]"),
    ("int", "5"),
    ("none", ""),
    ("long", "\u00e4" * 61),  # 122 bytes: half a character is left out
    ("bytes", "caf\u00e9 \ufffd"),
    ("long_list", ("['" + "x" * 1000)[:123]),
    ("surrogate", "a?b"),
    ("userdict", ""),
])
def test_reason_of_a_close_may_be_anything(server, kind, reason):
    with WS(server.connect(), f"/closes?kind={kind}") as w:
        assert w.read() == (True, 0, CLOSE, close_payload(4000, reason))
        w.send(CLOSE, close_payload(4000))
        w.conn.expect_close()


@pytest.mark.parametrize("kind, status", [("enum", 201), ("subclass", 202), ("index", 203)])
def test_denial_takes_the_same_types(server, kind, status):
    with server.connect() as c:
        c.send(f"GET /denies?kind={kind} HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
               "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        answer = c.read_response()
        assert (answer.status, answer.get("x-answer"), answer.body) == (status, "yes", b"answered")
