# SPDX-License-Identifier: BSD-3-Clause
"""app.loop with applications that depend on a loop, in a virtual environment named by TINE_TEST_VENV (the gate loops makes it)."""

import os
from pathlib import Path

import pytest

from lib.build import APPS
from lib.server import Server
from lib.ws import WS

VENV = os.environ.get("TINE_TEST_VENV")
pytestmark = pytest.mark.skipif(not VENV, reason="TINE_TEST_VENV is not set")
LOOPS = ["asyncio", "uvloop", "trio"]


def needs(*packages):
    for package in packages:
        if not any((Path(VENV) / "lib").glob(f"python3.*/site-packages/{package}/__init__.py")):
            pytest.skip(f"{package} is not in {VENV}")


def serving(module, loop, **options):
    return Server(module, {"app": {"venv": VENV, "loop": loop}}, cwd=APPS / "pypi", **options)


@pytest.mark.parametrize("loop", LOOPS)
def test_fastapi(loop):
    needs("fastapi", "litestar", loop if loop != "asyncio" else "anyio")
    library = "trio" if loop == "trio" else "asyncio"
    with serving("on_any_loop:fastapi", loop) as s:
        assert s.get("/async").json() == {"library": library}
        assert s.get("/sync").json() == {"thread": True, "from_thread": library}
        assert s.get("/stream").body == b"".join(b"%d\n" % number for number in range(100))
        with WS(s.connect(), "/ws") as w:
            w.text("hello")
            assert w.read_text() == "HELLO"


@pytest.mark.parametrize("loop", LOOPS)
def test_starlette_whose_lifespan_has_a_nursery(loop):
    needs("fastapi", "litestar", loop if loop != "asyncio" else "anyio")
    with serving("on_any_loop:starlette", loop) as s:
        for _ in range(20):
            assert s.get("/").json() == {"box": ["answered"], "library": "trio" if loop == "trio" else "asyncio"}


@pytest.mark.parametrize("loop", LOOPS)
def test_litestar(loop):
    needs("fastapi", "litestar", loop if loop != "asyncio" else "anyio")
    with serving("on_any_loop:litestar", loop) as s:
        assert s.get("/").json() == {"library": "trio" if loop == "trio" else "asyncio"}


def test_quart_trio():
    needs("quart_trio")
    with serving("on_trio:quart", "trio") as s:
        conns = [s.connect().send_request("GET", "/") for _ in range(10)]
        assert [c.read_response().json() for c in conns] == [{"hello": "quart-trio", "counted": True}] * 10
        for c in conns:
            c.close()
        with WS(s.connect(), "/ws") as w:
            w.text("hello")
            assert w.read_text() == "HELLO"


def test_hypercorns_example_for_trio():
    needs("trio")
    with serving("on_trio:plain", "trio") as s:
        assert s.get("/").body == b"0\n1\n2\n3\n4\n"
