# SPDX-License-Identifier: BSD-3-Clause
"""WebSocket clients that other people wrote, against every engine: python-websockets and wsproto; and, the other way round,
frameworks whose WebSockets are the application: Starlette, Quart, and Channels from the virtual environment that
TINE_TEST_VENV names. Each takes part only where it is installed."""

import asyncio
import os
import socket
import zlib

import pytest

from lib.build import app_has
from lib.server import Server
from lib.waiting import DEADLINE
from lib.ws import engines

websockets = pytest.importorskip("websockets")
legacy = pytest.importorskip("websockets.legacy.client")
deflate = pytest.importorskip("websockets.extensions.permessage_deflate")

ENGINES = engines()
VENV = os.environ.get("TINE_TEST_VENV")
WORDS = "".join(f"word {n % 97} and {n % 13}; " for n in range(4000))
TEXTS = ["", "a", "ä€😀", WORDS[:95], WORDS[:96], WORDS[:500], WORDS, WORDS[::-1], "x" * 1000000, "end"]


@pytest.fixture(scope="module", params=ENGINES)
def server(request):
    with Server("websockets", {"server": {"workers": 1}, "websocket": {"engine": request.param}}) as running:
        yield running


def connect(server, path="/echo", **options):
    options.setdefault("open_timeout", DEADLINE)
    options.setdefault("close_timeout", DEADLINE)
    options.setdefault("max_size", None)
    return legacy.connect(f"ws://127.0.0.1:{server.port}{path}", **options)


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE * 3))


async def check_echo(connection):
    for text in TEXTS:
        await connection.send(text)
        assert await connection.recv() == text
        await connection.send(text.encode()[::-1])
        assert await connection.recv() == text.encode()[::-1]
    await connection.send(iter_pieces(WORDS))
    assert await connection.recv() == WORDS
    pong = await connection.ping(b"payload")
    await pong
    for text in TEXTS * 3:  # many on their way at once
        await connection.send(text)
    for text in TEXTS * 3:
        assert await connection.recv() == text


async def iter_pieces(text):
    for at in range(0, len(text), 700):
        yield text[at:at + 700]


OFFERS = {
    "none": None,
    "default": {"client_max_window_bits": True},
    "no limit": {},
    "small windows": {"client_max_window_bits": 9, "server_max_window_bits": 9},
    "no context": {"server_no_context_takeover": True, "client_no_context_takeover": True, "client_max_window_bits": True},
    "one context": {"server_no_context_takeover": True},
}


@pytest.mark.parametrize("offer", OFFERS)
def test_python_websockets(server, offer):
    parameters = OFFERS[offer]

    async def talk():
        extensions = [deflate.ClientPerMessageDeflateFactory(**parameters)] if parameters is not None else None
        async with connect(server, compression=None, extensions=extensions) as connection:
            assert len(connection.extensions) == (parameters is not None)
            await check_echo(connection)
            await connection.close(4001, "bye")
            assert connection.close_code == 4001

    run(talk())


def test_many_at_once(server):
    """More than there are streams, so that contexts are taken away and come back."""

    async def talk(number):
        async with connect(server) as connection:
            for turn in range(3):
                text = f"{number} {turn} " + WORDS[number:number + 400]
                await connection.send(text)
                assert await connection.recv() == text
                await asyncio.sleep(0)

    async def all_of_them():
        await asyncio.gather(*[talk(number) for number in range(300)])

    run(all_of_them())


def test_bomb(server):
    """32 MiB of zeros in 32 KiB: refused at the limit of 16 MiB, and the worker does not grow by it."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = compressor.compress(bytes(32 << 20)) + compressor.flush(zlib.Z_SYNC_FLUSH)
    close = raw_exchange(server, bomb[:-4])
    assert close[2:4] == (1009).to_bytes(2, "big")


@pytest.mark.parametrize("payload", [b"", b"\x06", b"\xf2\x48\xcd\xc9", b"\xf2\x00\x11\x00\x00"])
def test_not_deflate(server, payload):
    assert raw_exchange(server, payload)[2:4] == (1007).to_bytes(2, "big")


def raw_exchange(server, payload):
    """Sends one compressed frame on a connection of its own; returns what comes before the end of the stream."""
    mask = bytes(4)
    head = bytes([0xC2, 0x80 | 126]) + len(payload).to_bytes(2, "big") if len(payload) > 125 else \
        bytes([0xC2, 0x80 | len(payload)])
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as s:
        s.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                  b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
        got = b""
        while b"\r\n\r\n" not in got:
            got += s.recv(65536)
        s.sendall(head + mask + payload)
        while piece := s.recv(65536):
            got += piece
    return got.partition(b"\r\n\r\n")[2]


# --- wsproto ---


@pytest.mark.parametrize("compressed", [False, True])
def test_wsproto(server, compressed):
    wsproto = pytest.importorskip("wsproto")
    from wsproto.events import (AcceptConnection, BytesMessage, CloseConnection, Ping, Pong, Request, TextMessage)
    from wsproto.extensions import PerMessageDeflate
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as s:
        ws = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        extensions = [PerMessageDeflate(client_max_window_bits=15, server_max_window_bits=15)] if compressed else []
        s.sendall(ws.send(Request(host="a", target="/echo", extensions=extensions)))
        events = event_stream(ws, s)
        accepted = next(events)
        assert isinstance(accepted, AcceptConnection) and bool(accepted.extensions) == compressed
        for text in TEXTS:
            s.sendall(ws.send(TextMessage(data=text[:7], message_finished=False)) +
                      ws.send(TextMessage(data=text[7:])))
            assert whole(events, TextMessage, "") == text
            s.sendall(ws.send(BytesMessage(data=text.encode())))
            assert whole(events, BytesMessage, b"") == text.encode()
        s.sendall(ws.send(Ping(payload=b"p")))
        pong = next(events)
        assert isinstance(pong, Pong) and pong.payload == b"p"
        s.sendall(ws.send(CloseConnection(code=3000, reason="done")))
        closed = next(events)
        assert isinstance(closed, CloseConnection) and closed.code == 3000


def event_stream(ws, s):
    while True:
        data = s.recv(65536)
        ws.receive_data(data or None)
        yield from ws.events()
        if not data:
            return


def whole(events, kind, empty):
    """The next message, put together."""
    collected = empty
    while True:
        event = next(events)
        assert isinstance(event, kind)
        collected += event.data
        if event.message_finished:
            return collected


# --- frameworks ---


async def speak_with_framework(server, path):
    async with connect(server, path, subprotocols=["chat", "other"]) as connection:
        assert connection.subprotocol == "chat"
        for text in TEXTS[1:]:
            await connection.send(text)
            assert await connection.recv() == text
        await connection.send(b"\x00\xff")
        assert await connection.recv() == b"\x00\xff"
        await connection.send("close")
        with pytest.raises(websockets.exceptions.ConnectionClosed):
            await connection.recv()
        assert connection.close_code == 4002


async def be_refused(server, path):
    with pytest.raises(websockets.exceptions.InvalidStatusCode) as refused:
        await connect(server, path)
    assert refused.value.status_code == 403


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("framework", ["starlette", "quart"])
def test_frameworks(framework, engine):
    if not app_has(framework):
        pytest.skip(f"{framework} is not installed")
    with Server(f"apps.websocket_{framework}:app", {"websocket": {"engine": engine}}) as server:
        run(speak_with_framework(server, "/ws"))
        run(be_refused(server, "/refused"))


@pytest.mark.skipif(not VENV, reason="TINE_TEST_VENV names no virtual environment")
@pytest.mark.parametrize("engine", ENGINES)
def test_channels(engine):
    with Server("apps.websocket_channels:app", {"websocket": {"engine": engine}, "app": {"venv": VENV}}) as server:
        run(speak_with_framework(server, "/ws"))
        run(be_refused(server, "/refused"))
