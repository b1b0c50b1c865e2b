# SPDX-License-Identifier: BSD-3-Clause
"""Which interface an application has: found out, configured, or neither."""

import re

import pytest

from lib.server import Server
from lib.ws import handshake


@pytest.mark.parametrize("name, config", [("legacy", {}), ("Legacy", {}), ("legacy", {"interface": "asgi2"}),
                                          ("Legacy", {"interface": "asgi2", "lifespan": "on"})])
def test_asgi2(name, config):
    with Server(f"apps.wsgi_odd:{name}", {"app": config}) as s, s.connect() as c:
        for _ in range(2):
            assert c.request("POST", "/", body=b"body").body == b"2.0 body"


@pytest.mark.parametrize("name, body", [("Iterable", b"a class"), ("instance", b"an object"), ("make()", b"an object"),
                                        ("wrapped_instance", b"an object")])
@pytest.mark.parametrize("interface", ["auto", "wsgi"])
def test_wsgi(name, body, interface):
    with Server(f"apps.wsgi_odd:{name}", {"app": {"interface": interface}}) as s:
        assert s.get("/").body == body


@pytest.mark.parametrize("name", ["neither", "Neither", "make"])
def test_neither(name):
    """Said at the start, with what to do about it."""
    server = Server(f"apps.wsgi_odd:{name}", status=4, allow=("Traceback", "[CRITICAL]"))
    try:
        server.start()
        assert server.wait_exit() == 4
        assert f"apps.wsgi_odd:{name}, of type" in server.log() and "looks like neither ASGI nor WSGI" in server.log()
        server.stop()
    finally:
        server.kill()


def test_lifespan_on_is_no_setting_for_wsgi():
    server = Server("apps.wsgi_odd:instance", {"app": {"lifespan": "on"}}, status=3, allow=("[CRITICAL]",))
    try:
        server.start()
        assert server.wait_exit() == 3
        assert "a WSGI application has no lifespan" in server.log()
        server.stop()
    finally:
        server.kill()


MISMATCH = "the application cannot be called as"


@pytest.mark.parametrize("name, interface, said", [
    ("any_wsgi", "auto", "ASGI (app.interface = auto): if it is WSGI, set app.interface = wsgi"),
    ("wsgi", "asgi", "ASGI (app.interface = asgi): if it is WSGI, set app.interface = wsgi"),
    ("any_wsgi", "asgi", "ASGI (app.interface = asgi): if it is WSGI, set app.interface = wsgi"),
    ("any_asgi", "wsgi", "WSGI (app.interface = wsgi): if it is ASGI, set app.interface = asgi"),
    ("asgi", "wsgi", "WSGI (app.interface = wsgi): if it is ASGI, set app.interface = asgi"),
    ("returns", "auto", "WSGI (app.interface = auto): if it is ASGI, set app.interface = asgi"),
])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_request_shows_a_wrong_interface(name, interface, said, threads):
    with Server(f"apps.either:{name}", {"app": {"interface": interface, "threads": threads}}, allow=("Traceback",)) as s:
        for _ in range(2):
            assert s.get("/").status == 500
        s.wait_log(r"\[ERROR\] " + re.escape(f"{MISMATCH} {said}"))
        assert s.log().count(MISMATCH) == 1


def test_the_first_websocket_shows_a_wrong_interface():
    with Server("apps.either:any_wsgi", allow=("Traceback",)) as s, s.connect() as c:
        c.send(handshake("/"))
        assert c.read_response().status == 500
        s.wait_log(r"\[ERROR\] " + re.escape(f"{MISMATCH} ASGI (app.interface = auto): if it is WSGI, set app.interface = wsgi"))


def test_a_mount_of_the_wrong_interface_names_its_own_setting():
    with Server("apps.either:asgi", {"mount:/inner": {"module": "apps.either:any_wsgi"}}, allow=("Traceback",)) as s:
        assert s.get("/inner/").status == 500 and s.get("/").body == b"asgi"
        s.wait_log(r"\[ERROR\] " + re.escape(f"[mount:/inner] {MISMATCH} ASGI (interface = auto): if it is WSGI, set interface = wsgi"))


@pytest.mark.parametrize("name", ["asgi_with_bug", "wsgi_with_bug"])
def test_a_bug_of_the_application_is_no_wrong_interface(name):
    with Server(f"apps.either:{name}", allow=("Traceback",)) as s:
        assert s.get("/").status == 500
        s.wait_log("missing 1 required positional argument")
        assert MISMATCH not in s.log()


@pytest.mark.parametrize("name, interface", [("any_wsgi", "wsgi"), ("any_asgi", "asgi")])
def test_the_setting_that_is_named_helps(name, interface):
    with Server(f"apps.either:{name}", {"app": {"interface": interface}}) as s:
        assert s.get("/").body == interface.encode()
