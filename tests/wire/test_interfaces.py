# SPDX-License-Identifier: BSD-3-Clause
"""Which interface an application has: found out, configured, or neither."""

import pytest

from lib.server import Server


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
