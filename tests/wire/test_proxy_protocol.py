# SPDX-License-Identifier: BSD-3-Clause
"""The PROXY protocol, versions 1 and 2, on a bind flagged proxy (proxy-protocol.txt of HAProxy)."""

import socket
import struct

import pytest

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def server(serve):
    return serve("scope", flags=" proxy")


def v2(command, family, block, version=2):
    return SIGNATURE + bytes([version << 4 | command, family]) + struct.pack("!H", len(block)) + block


def inet(src, dst, sport, dport):
    return socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", sport, dport)


def inet6(src, dst, sport, dport):
    return socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + struct.pack("!HH", sport, dport)


TLV = b"\x01" + struct.pack("!H", 2) + b"h1" + b"\x04" + struct.pack("!H", 5) + b"noise"
V4 = (["192.0.2.1", 1111], ["198.51.100.1", 443])
V6 = (["2001:db8::1", 1111], ["2001:db8::2", 443])
TOLD = {
    "v1-tcp4": (b"PROXY TCP4 192.0.2.1 198.51.100.1 1111 443\r\n", V4),
    "v1-tcp6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 443\r\n", V6),
    "v2-tcp4": (v2(1, 0x11, inet("192.0.2.1", "198.51.100.1", 1111, 443)), V4),
    "v2-tcp6": (v2(1, 0x21, inet6("2001:db8::1", "2001:db8::2", 1111, 443)), V6),
    "v2-tlv": (v2(1, 0x11, inet("192.0.2.1", "198.51.100.1", 1111, 443) + TLV), V4),
}
NOT_TOLD = {
    "v1-unknown": b"PROXY UNKNOWN\r\n",
    "v1-unknown-long": b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
    "v2-local": v2(0, 0x00, b""),
    "v2-local-addresses": v2(0, 0x11, inet("192.0.2.1", "198.51.100.1", 1111, 443)),
    "v2-unspec": v2(1, 0x00, b""),
}


@pytest.mark.parametrize("name", TOLD)
def test_addresses_of_the_header(server, name):
    header, (client, local) = TOLD[name]
    with server.connect() as c:
        c.send(header + GET)
        scope = c.read_response().json()
        assert scope["client"] == client and scope["server"] == local
        assert c.request("GET", "/").json()["client"] == client


@pytest.mark.parametrize("name", TOLD)
def test_header_byte_by_byte(server, name):
    header, (client, _) = TOLD[name]
    with server.connect() as c:
        for octet in header + GET:
            c.send(bytes([octet]))
        assert c.read_response().json()["client"] == client


@pytest.mark.parametrize("name", NOT_TOLD)
def test_own_addresses_are_kept(server, name):
    with server.connect() as c:
        c.send(NOT_TOLD[name] + GET)
        scope = c.read_response().json()
        assert scope["client"] == list(c.name) and scope["server"] == list(server.address)


@pytest.mark.parametrize("header", [
    b"", b"PROXY\r\n", b"PROXY TCP4\r\n", b"PROXY TCP4 192.0.2.1 198.51.100.1 1111\r\n", b"PROXY TCP4 x y 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1111 99999\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n", b"PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n", b"proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n", b"PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", b"PROXY TCP4 " + b"1" * 120 + b"\r\n",
    v2(1, 0x11, b"short"), v2(7, 0x11, inet("192.0.2.1", "198.51.100.1", 1, 2)), v2(1, 0x11, inet("192.0.2.1", "198.51.100.1", 1, 2), version=3),
    v2(1, 0x21, inet("192.0.2.1", "198.51.100.1", 1, 2)), SIGNATURE[:-1] + b"X" + bytes(20)])
def test_no_header_no_service(server, header):
    """Whoever does not speak the protocol right gets nothing from the application."""
    with server.connect() as c:
        c.send(header + GET)
        data = c.read_to_end()
        assert data == b"" or data.startswith(b"HTTP/1.1 400 ")


def test_peer_that_may_not_speak_it(server):
    with server.connect(source="127.0.0.2") as c:
        c.send(TOLD["v1-tcp4"][0] + GET)
        data = c.read_to_end()
        assert data == b"" or data.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))


def test_second_header_is_a_bad_request(server):
    with server.connect() as c:
        c.send(TOLD["v1-tcp4"][0] + TOLD["v1-tcp4"][0] + GET)
        r = c.read_response()
        assert r.status == 400 and r.closes


def test_without_the_flag_it_is_a_bad_request(serve):
    with serve("scope").connect() as c:
        c.send(TOLD["v1-tcp4"][0] + GET)
        r = c.read_response()
        assert r.status in (400, 501) and r.closes
        c.expect_close()


def test_header_that_never_comes(serve):
    server = serve("scope", {"http": {"header_timeout": "500ms"}}, flags=" proxy")
    with server.connect() as c:
        c.send("PROXY TC")
        data = c.read_to_end()
        assert data == b"" or data.startswith(b"HTTP/1.1 408 ")


def test_forwarded_fields_of_the_told_peer(serve):
    """After the PROXY header the peer is the one it told, which is not trusted here."""
    server = serve("scope", flags=" proxy")
    with server.connect() as c:
        c.send(TOLD["v1-tcp4"][0] + b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
        assert c.read_response().json()["client"] == V4[0]
