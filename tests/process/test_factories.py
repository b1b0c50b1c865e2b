# SPDX-License-Identifier: BSD-3-Clause
"""app.module with a factory and its arguments, as gunicorn takes them: literals, and nothing is evaluated."""

import pytest

from lib.server import Server
from process.test_conf import tine


@pytest.mark.parametrize("call, word", [
    ("()", ["none", None]), ("('a:b(c)')", ["a:b(c)", None]), ('("x", more={"a": [1, -2.5, None, (True,)]})', ["x", {"a": [1, -2.5, None, [True]]}]),
    ("(more=b'x'.decode)", None), ("(__import__('os').mkdir('evaluated'))", None), ("(*['a'])", None), ("(**{'word': 1})", None),
    ("(open('evaluated', 'w'))", None), ("(word=)", None), ("('a'))('b')", None), ("(1 if 1 else 2)", None)])
@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_arguments_of_a_factory(tmp_path, call, word, kind):
    module = f"apps.arrival:make_{kind}{call}"
    if word is not None:
        with Server(module, cwd=tmp_path) as s:
            assert s.get("/").json()["word"] == word and s.get("/").json()["interface"] == kind
        return
    s = Server(module, cwd=tmp_path, status=4, allow={"Traceback"}).start()
    try:
        assert s.wait_exit() == 4
        assert "a factory's arguments are literals" in s.log()
        assert not (tmp_path / "evaluated").exists()
    finally:
        s.stop()


@pytest.mark.parametrize("module", ["a:b()c", "a:b(", "a:b(1)(2", "a:b)"])
def test_shapes_that_are_no_factory(tmp_path, module):
    done = tine("-t", module, cwd=tmp_path)
    assert done.returncode == 1 and "app.module: " in done.stderr
