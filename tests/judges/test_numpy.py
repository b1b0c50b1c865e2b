# SPDX-License-Identifier: BSD-3-Clause
"""numpy as a judge of interpreters and threads: compiled code that keeps state of its own, and that newer versions refuse
to load in a sub-interpreter. Entries are small whole numbers, so that a float64 holds each product exactly."""

import struct
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.build import APPS, app_has
from lib.server import Server

httpx = pytest.importorskip("httpx")
pytestmark = pytest.mark.skipif(not app_has("numpy"), reason="applications find no numpy")

SIDE = 40


def matrix(seed):
    return [[(seed * row + 7 * column) % 11 for column in range(SIDE)] for row in range(SIDE)]


def packed(rows):
    return struct.pack(f"<{SIDE * SIDE}d", *(entry for row in rows for entry in row))


def product(rows):
    columns = list(zip(*rows))
    return [[sum(a * b for a, b in zip(row, column)) for column in columns] for row in rows]


@pytest.mark.parametrize("name", ["app", "application"])
@pytest.mark.parametrize("settings", [{"interpreter": "auto"}, {"interpreter": "main"}, {"preload_app": "true"}],
                         ids=["auto", "main", "preloaded"])
def test_products_side_by_side(name, settings):
    # The ASGI one asks for a body whatever it is called for.
    config = {"server": {"workers": 2}, "app": {"threads": 4, "lifespan": "off", **settings}}
    with Server(f"main:{name}", config, cwd=APPS / "frameworks" / "numpy_matrices") as server:
        url = f"http://127.0.0.1:{server.port}/"

        def asked(seed):
            answer = httpx.post(url, content=packed(matrix(seed)), timeout=60, verify=False)
            return answer.status_code == 200 and answer.content == packed(product(matrix(seed)))

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(asked, range(1, 25)))
        assert httpx.get(url, timeout=60, verify=False).content == b""
