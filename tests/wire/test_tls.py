"""HTTPS: versions, ALPN, the application's view, the end of connections, and what is no TLS at all."""

import ssl
import subprocess

import pytest

import certs
from harness import Conn
from tlsconn import TLSConn


@pytest.fixture
def serve_tls(serve):
    """serve_tls("hello", tls={...}) -> a shared server that listens with TLS; certs.server() is its certificate."""
    def start(app="hello", config=None, tls=None, **options):
        return serve(app, {"tls": certs.server().config(**(tls or {})), **(config or {})}, flags="tls", **options)
    return start


def test_answers(serve_tls):
    with TLSConn(serve_tls().address) as c:
        assert c.request().body == b"Hello, World!"
        assert c.request().body == b"Hello, World!"
        assert c.socket.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(serve_tls, version):
    with TLSConn(serve_tls().address, context=certs.context(least=version, most=version)) as c:
        assert c.socket.version() == {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[version]
        assert c.request().status == 200


def test_without_alpn_is_http_1(serve_tls):
    with TLSConn(serve_tls().address, context=certs.context(alpn=())) as c:
        assert c.request().status == 200
        assert c.socket.selected_alpn_protocol() is None


def test_alpn_without_overlap_is_refused(serve_tls):
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        TLSConn(serve_tls().address, context=certs.context(alpn=("imap",)))


@pytest.mark.parametrize("method", ["GET", "PROPFIND"])
def test_plain_http_is_told_so(serve_tls, method):
    with Conn(serve_tls().address) as c:
        response = c.request(method)
        assert response.status == 400
        assert b"HTTPS" in response.body
        c.expect_close()


def test_curl(serve_tls):
    url = f"https://localhost:{serve_tls().port}/"
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--http1.1", "--cacert", str(certs.authority().crt), url, url],
                          capture_output=True, timeout=30)
    assert done.stdout == b"Hello, World!" * 2, done.stderr
