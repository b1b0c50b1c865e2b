# SPDX-License-Identifier: BSD-3-Clause
"""205 Reset Content has no content, whatever the application sends (RFC 9110 15.3.6), and is framed so that everybody sees it:
unlike 204 and 304 it has a body by the rules of HTTP/1 (RFC 9112 6.3), an empty one."""

import pytest

SENT = ["n=0", "n=5", "n=5&length=5", "n=0&length=0", "n=5&length=50", "n=100000", "n=100000&length=100000"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("sent", SENT)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_http1(serve, method, sent, version):
    keep = ["Connection: keep-alive"] if version == "1.0" else []
    with serve("answers").connect() as c:
        r = c.request(method, f"/status?code=205&{sent}", keep, version=version)
        assert (r.status, r.body, r.get("content-length"), r.get("transfer-encoding")) == (205, b"", "0", None)
        assert not r.closes and c.request("GET", "/sized").body == b"sized body"
        c.expect_no_more()


@pytest.mark.parametrize("sent", SENT)
def test_http2(serve, sent):
    h2 = pytest.importorskip("lib.h2")
    with h2.H2(serve("answers", flags="h2c").connect()) as h:
        a = h.get(f"/status?code=205&{sent}")
        assert (a.status, a.body, a.ended, a.reset) == (205, b"", True, None)
        assert a.get("content-length", "0") == "0"
        assert h.get("/sized").body == b"sized body"


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_wsgi(serve, threads, protocol):
    server = serve("apps.wsgi_cases:app", {"app": {"threads": threads}}, flags="h2c", allow=["Traceback"])
    if protocol == "2":
        h2 = pytest.importorskip("lib.h2")
        with h2.H2(server.connect()) as h:
            a = h.get("/status?s=205+Reset+Content")
            assert (a.status, a.body, a.ended) == (205, b"", True)
        return
    with server.connect() as c:
        r = c.request("GET", "/status?s=205+Reset+Content")
        assert (r.status, r.body, r.get("content-length")) == (205, b"", "0")
        assert c.request("GET", "/hello").body == b"hello"


def test_pieces_and_files_are_left_out_as_well(serve):
    server = serve("compressible", allow=["Traceback"])
    with server.connect() as c:
        for query in ("pieces=3", "file=whole", "file=among", "trailers=1"):
            r = c.request("GET", f"/?status=205&{query}")
            assert (r.status, r.body, r.get("content-length")) == (205, b"", "0"), query
        c.expect_no_more()
