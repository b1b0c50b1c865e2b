# SPDX-License-Identifier: BSD-3-Clause
"""app.gc_freeze: what an application consists of when it has started is out of the garbage collector's sight."""
import pytest

from lib.server import Server


def ask(server, path="/"):
    return server.get(path).json()


@pytest.mark.parametrize("app, interpreter", [("app", "sub"), ("wsgi", "main")])
def test_the_application_is_frozen_and_requests_are_not(app, interpreter):
    with Server("apps.collector:" + app, {"app": {"interpreter": interpreter}}) as server:
        found = ask(server)
        assert found["frozen"] > 1000
        assert not found["listed"]
        assert found["import's garbage is gone"]
        assert ask(server, "/garbage") is True
        found = ask(server, "/unfreeze")
        assert found["frozen"] == 0
        assert found["listed"]


def test_not_when_told_so():
    with Server("apps.collector:app", {"app": {"gc_freeze": "false"}}) as server:
        found = ask(server)
        assert found["frozen"] == 0
        assert found["listed"]


def test_not_when_the_application_has_no_collector():
    with Server("apps.collector:app", env={"COLLECTOR": "off"}) as server:
        found = ask(server)
        assert found == {"frozen": 0, "listed": True, "enabled": False, "import's garbage is gone": False}


def test_in_a_mold_before_the_fork():
    with Server("apps.collector:app", {"app": {"preload_app": "true"}}) as server:
        found = ask(server)
        assert found["frozen"] > 1000
        assert not found["listed"]
