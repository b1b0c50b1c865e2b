# SPDX-License-Identifier: BSD-3-Clause
"""HTTPS: versions, ALPN, what applications are told, the end of connections, and what is no TLS at all."""

import hashlib
import json
import re
import socket
import ssl
import struct
import subprocess

import pytest

from lib import certs
from lib.client import Conn
from lib.tls import HandTLS, TLSConn
from lib.ws import TEXT, WS

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture
def tls(serve):
    """tls("hello") -> a shared server that speaks TLS."""
    def start(app="hello", config=None, **options):
        return serve(app, config, tls=options.pop("tls", True), **options)
    return start


# --- the handshake ---

def test_answers(tls):
    with tls().connect() as c:
        assert c.request().body == b"Hello, World!"
        assert c.request().body == b"Hello, World!"
        assert c.socket.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("version, name", [(TLS_1_2, "TLSv1.2"), (TLS_1_3, "TLSv1.3")])
def test_versions(tls, version, name):
    with tls().connect(context=certs.context(least=version, most=version)) as c:
        assert c.socket.version() == name
        assert c.request().status == 200


def test_min_version_1_3_refuses_1_2(tls):
    server = tls(tls={"min_version": "1.3"})
    with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
        server.connect(context=certs.context(least=TLS_1_2, most=TLS_1_2))
    with server.connect() as c:
        assert c.socket.version() == "TLSv1.3"


def test_ciphers(tls):
    server = tls(tls={"ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384", "ciphersuites": "TLS_CHACHA20_POLY1305_SHA256"})
    with server.connect(context=certs.context(most=TLS_1_2)) as c:
        assert c.socket.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"
    with server.connect() as c:
        assert c.socket.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"


def test_without_alpn_is_http_1(tls):
    with tls().connect(context=certs.context(alpn=())) as c:
        assert c.request().status == 200
        assert c.socket.selected_alpn_protocol() is None


def test_alpn_without_overlap_is_refused(tls):
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        tls().connect(context=certs.context(alpn=("imap",)))


def test_alpn_as_configured(tls):
    server = tls(tls={"alpn": "http/1.1"})
    with server.connect(context=certs.context(alpn=("h2", "http/1.1"))) as c:
        assert c.socket.selected_alpn_protocol() == "http/1.1"
        assert c.request().status == 200


def test_renegotiation_is_refused(tls):
    """RFC 5746 aside, a client that asks for a new handshake gets none."""
    host = f"127.0.0.1:{tls().port}"
    done = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", host, "-CAfile", str(certs.authority().crt)],
                          input=b"R\n", capture_output=True, timeout=30)
    assert b"no renegotiation" in done.stdout + done.stderr


def test_handshake_byte_by_byte(tls):
    with Conn(tls().address) as c:
        def dribble(data):
            for i in range(len(data)):
                c.send(data[i:i + 1])
        client = HandTLS(c).handshake(dribble)
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert client.read_until(b"Hello, World!").startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("part", [0, 1, 100])
def test_half_a_handshake_ends_in_time(tls, part):
    server = tls(config={"http": {"header_timeout": "1s"}})
    with Conn(server.address) as c:
        c.send(HandTLS().step()[:part])
        c.expect_close()
    assert server.get().status == 200


def test_many_handshakes_at_once(tls):
    """More than one turn of the loop makes; each is finished."""
    server = tls()
    clients = [HandTLS(Conn(server.address)) for _ in range(60)]
    for client in clients:
        client.conn.send(client.step())
    for client in clients:
        client.handshake()
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    for client in clients:
        client.read_until(b"Hello, World!")
        client.conn.close()


# --- what is no TLS ---

@pytest.mark.parametrize("method", ["GET", "PROPFIND"])
def test_plain_http_is_told_so(tls, method):
    with Conn(tls().address) as c:
        response = c.request(method)
        assert response.status == 400
        assert b"HTTPS" in response.body
        c.expect_close()


@pytest.mark.parametrize("data", [b"\0" * 100, b"\x16\x03\x01\x00\x05hello", b"\x80\x2e\x01\x00\x02", b"\x16\x03\x01\xff\xff"])
def test_garbage_is_cut(tls, data):
    server = tls(config={"http": {"header_timeout": "1s"}})
    with Conn(server.address) as c:
        c.send(data)
        assert c.read_to_end()[:1] in (b"", b"\x15")  # nothing, or an alert
    assert server.get().status == 200


# --- what the application is told ---

def test_scope(tls):
    with tls("scope").connect() as c:
        scope = c.request().json()
    assert scope["scheme"] == "https"
    told = scope["extensions"]["tls"]
    assert told["server_cert"].split() == certs.server().pem().split()
    assert told["tls_version"] == 0x0304
    assert told["cipher_suite"] in (0x1301, 0x1302, 0x1303)
    assert told["client_cert_chain"] == []
    assert told["client_cert_name"] is None and told["client_cert_error"] is None
    assert set(told) == {"server_cert", "client_cert_chain", "client_cert_name", "client_cert_error", "tls_version", "cipher_suite"}


def test_scope_of_1_2(tls):
    with tls("scope").connect(context=certs.context(most=TLS_1_2)) as c:
        told = c.request().json()["extensions"]["tls"]
    assert told["tls_version"] == 0x0303
    assert told["cipher_suite"] in (0xC02B, 0xC02C, 0xCCA9)  # ECDHE-ECDSA with AES-GCM or ChaCha20


def test_no_extension_without_tls(serve):
    assert "tls" not in serve("scope").get().json()["extensions"]


def test_environ(tls):
    environ = tls("apps.wsgi_cases:app").get("/environ").json()
    assert environ["wsgi.url_scheme"] == "https" and environ["HTTPS"] == "on"


def test_wsgi_body(tls):
    with tls("apps.wsgi_cases:app").connect() as c:
        assert c.request("GET", "/hello").status == 200
        assert c.request("GET", "/stream").status == 200


@pytest.mark.parametrize("deflate", [False, True])
def test_websocket(tls, deflate):
    fields = ["Sec-WebSocket-Extensions: permessage-deflate"] if deflate else []
    with WS(tls("websockets").connect(), "/echo", fields) as ws:
        assert bool(ws.response.get("sec-websocket-extensions")) == deflate
        if not deflate:
            ws.text("over TLS").expect(TEXT, "over TLS")
            ws.text("x" * 300000).expect(TEXT, "x" * 300000)
        ws.close(1000)


def test_scope_of_a_websocket(tls):
    with WS(tls("websockets").connect(), "/show") as ws:
        scope = json.loads(ws.read_text())
        assert scope["scheme"] == "wss" and scope["extensions"]["tls"]["tls_version"] == 0x0304


def test_proxy_protocol_in_front(serve):
    server = serve("scope", flags="proxy", tls=True)
    header = b"PROXY TCP4 192.0.2.1 198.51.100.1 1111 443\r\n"
    with TLSConn(server.address, first=header) as c:
        scope = c.request().json()
        assert scope["client"] == ["192.0.2.1", 1111] and scope["scheme"] == "https"
    block = socket.inet_aton("192.0.2.7") + socket.inet_aton("198.51.100.1") + struct.pack("!HH", 7, 443)
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(block)) + block
    with TLSConn(server.address, first=header) as c:
        assert c.request().json()["client"] == ["192.0.2.7", 7]


# --- bytes ---

def test_large_upload_and_download(tls):
    data = bytes(range(256)) * 4096 * 8
    with tls("bodies").connect() as c:
        n, digest = c.request("POST", "/digest", body=data).json()
        assert n == len(data) and digest == hashlib.sha256(data).hexdigest()
        assert c.request("POST", "/echo", body=data).body == data


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_records_are_small_first(tls, version):
    """Sizes of the records of one long answer: for latency first, for throughput when much has been sent."""
    data = b"x" * (4 << 20)
    with Conn(tls("bodies").address) as c:
        client = HandTLS(c, certs.context(most=version)).handshake()
        client.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(data))
        for i in range(0, len(data), 1 << 18):
            client.send(data[i:i + (1 << 18)])
        raw = c.read_to_end()
    sizes, at = [], 0
    while at < len(raw):
        assert raw[at:at + 3] in (b"\x17\x03\x03", b"\x15\x03\x03", b"\x14\x03\x03", b"\x16\x03\x03")
        size = int.from_bytes(raw[at + 3:at + 5], "big")
        sizes.append(size)
        at += 5 + size
    assert max(sizes[:500]) < 1460
    assert max(sizes[-100:]) > 16000


def test_slow_reader_gets_all(tls):
    """The socket is full again and again; nothing is lost or said twice."""
    data = bytes(range(256)) * 4096 * 4
    with tls("bodies").connect(rcvbuf=4096) as c:
        c.send_request("POST", "/echo", body=data)
        assert c.read_response().body == data
        assert c.request("POST", "/echo", body=b"again").body == b"again"


def test_pipelining(tls):
    with tls("bodies").connect() as c:
        c.send(b"".join(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\n%04d" % i for i in range(50)))
        for i in range(50):
            assert c.read_response("POST").body == b"%04d" % i


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "small.txt").write_text("small")
    (folder / "large.bin").write_bytes(bytes(range(256)) * 4096 * 10)
    return folder


def test_static_files(tls, files):
    server = tls(config={"static:/files": {"dir": str(files)}})
    large = (files / "large.bin").read_bytes()
    with server.connect() as c:
        assert c.request("GET", "/files/small.txt").body == b"small"
        assert c.request("GET", "/files/large.bin").body == large
        part = c.request("GET", "/files/large.bin", ["Range: bytes=1000000-3000000"])
        assert part.status == 206 and part.body == large[1000000:3000001]
    with server.connect(rcvbuf=4096) as c:
        assert c.request("GET", "/files/large.bin").body == large


# --- the end ---

@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3])
def test_close_notify_follows_the_last_answer(tls, version):
    with tls().connect(context=certs.context(most=version)) as c:
        c.send_request(headers=["Connection: close"])
        assert c.read_to_notify().endswith(b"Hello, World!")


def test_idle_connections_end_with_close_notify(tls):
    with tls(config={"http": {"keepalive": "1s"}}).connect() as c:
        assert c.request().status == 200
        assert c.read_to_notify() == b""


def test_a_cut_answer_has_no_close_notify(tls):
    """Whoever reads until the end of the connection must see that something is missing."""
    server = tls("broken", allow=["Traceback"])
    with server.connect() as c:
        c.send_request("GET", "/raises_after_part", version="1.0")
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            c.read_to_notify()


def test_half_close(tls):
    """After a client's close_notify its requests are still answered (RFC 8446 6.1)."""
    with Conn(tls().address) as c:
        client = HandTLS(c).handshake()
        client.tls.write(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.unwrap()
        c.send(client.outward.read())
        client.read_until(b"Hello, World!")


@pytest.mark.parametrize("how", ["half_close", "reset", "close"])
def test_clients_that_go_without_a_word(tls, how):
    server = tls()
    c = server.connect()
    assert c.request().status == 200
    getattr(c, how)()
    c.close()
    assert server.get().status == 200


def test_truncated_body_reaches_no_application(tls):
    with tls("bodies").connect() as c:
        c.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\npart")
        c.half_close()
        assert c.read_to_end() == b""


def test_reset_inside_an_answer(tls):
    server = tls("bodies")
    c = server.connect(rcvbuf=4096)
    c.send_request("POST", "/echo", body=b"x" * (1 << 20))
    c.read_exactly(1000)
    c.reset()
    with server.connect() as c:
        assert c.request("POST", "/echo", body=b"on").body == b"on"


# --- other clients ---

def test_curl(tls):
    url = f"https://localhost:{tls().port}/"
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--http1.1", "--cacert", str(certs.authority().crt), url, url],
                          capture_output=True, timeout=30)
    assert done.stdout == b"Hello, World!" * 2, done.stderr


def test_s_client(tls):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{tls().port}", "-CAfile",
                           str(certs.authority().crt), "-verify_return_error", "-servername", "localhost", "-ign_eof"],
                          input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, timeout=30)
    assert b"Verify return code: 0 (ok)" in done.stdout and b"Hello, World!" in done.stdout
    assert re.search(rb"(Server Temp Key|Negotiated TLS1.3 group): X25519", done.stdout)
