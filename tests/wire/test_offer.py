# SPDX-License-Identifier: BSD-3-Clause
"""http.response.pathsend with app.asgi_extensions = auto: offered to file responses whose messages nobody else sees.

Starlette's own, with real middleware, is tests/judges/test_pypi.py's."""

import pytest

BODY = b"a line of the file\n" * 1000
UPPER = "wrapping", "between", "shouting", "reading", "handling", "decorated", "patched", "patched_instance"


@pytest.fixture(params=["", "1.0", "tls"])
def served(serve, request):
    """get(path) over HTTP/1.1, HTTP/1.0 and TLS."""
    server = serve("offered", allow=["Traceback"], tls=request.param == "tls")

    def get(path):
        with server.connect() as c:
            return c.request("GET", path, **({"version": "1.0"} if request.param == "1.0" else {}))
    return get


@pytest.mark.parametrize("path", ["bare", "layer", "layers", "pathlib", "derived", "no_background"])
def test_offered_where_only_known_layers_see_it(served, path):
    r = served("/" + path)
    assert (r.status, r.get("offered"), r.body) == (200, "True", BODY)


@pytest.mark.parametrize("path", ["another", "wrapping", "between", "shouting", "collecting", "deep", "unset", "reading",
                                  "handling", "decorated", "patched", "patched_instance", "background"])
def test_not_offered_behind_anything_else(served, path):
    r = served("/" + path)
    expected = BODY.upper() if path in UPPER else BODY
    assert (r.status, r.get("offered"), r.body) == (200, "False", expected)


@pytest.mark.parametrize("path", ["bytes", "path", "raising"])
def test_not_offered_for_paths_that_str_would_change(served, path):
    r = served("/" + path)
    assert (r.status, r.get("offered"), r.body) == (200, "False", BODY)


@pytest.mark.parametrize("path", ["copy", "deepcopy", "dict", "method", "pickle"])
def test_copies_of_the_extensions_are_plain(served, path):
    r = served("/" + path)
    assert (r.status, r.get("offered"), r.body) == (200, "False", BODY)


def test_applications_that_ask_themselves_do_not_find_it(serve):
    seen = serve("offered", allow=["Traceback"]).get("/application").json()
    assert seen == {"asked": [False] * 5, "own": True, "trailers": True, "unknown": False}
    assert b"unhashable" in serve("offered", allow=["Traceback"]).get("/unhashable").body


@pytest.mark.parametrize("configured, offered", [
    ("auto, -http.response.trailers", "True"),
    ("none, auto", "True"),
    ("auto, -http.response.pathsend", "False"),
    ("-http.response.pathsend", "False"),
    ("tls", "False"),
])
def test_what_else_is_configured(serve, configured, offered):
    r = serve("offered", {"app": {"asgi_extensions": configured}}).get("/layer")
    assert (r.status, r.get("offered"), r.body) == (200, offered, BODY)


def test_offered_everywhere_if_configured(serve):
    server = serve("offered", {"app": {"asgi_extensions": "auto, http.response.pathsend"}}, allow=["Traceback"])
    for path in ("layer", "wrapping"):
        r = server.get("/" + path)
        assert (r.status, r.get("offered"), r.body) == (200, "True", BODY)


def test_not_offered_where_responses_are_compressed(serve):
    """Files are not, by http.compress: what an application reads itself is."""
    r = serve("offered", {"http": {"compress": "gzip"}}).get("/layer")
    assert (r.status, r.get("offered")) == (200, "False")


def test_http2(open_h2):
    h = open_h2("offered", allow=["Traceback"])
    for path, offered in (("/layers", "True"), ("/between", "False")):
        a = h.get(path)
        assert (a.status, a.get("offered"), a.body.lower()) == (200, offered, BODY)
