# SPDX-License-Identifier: BSD-3-Clause
"""A plugin of pytest (-p through_uvicorn): uvicorn's own tests of its protocols, against the server that $BRIDGE_SERVER names.

These tests come in three shapes, and each is mapped onto sockets. What `get_connected_protocol` returns takes bytes and shows what
came back: here a client's connection (Wire). `run_server` serves at a port: here each connection to it is passed on to the server.
MockWebSocketConnection is a client without a socket: here it has one. The application runs in the test's own event loop, behind
relay.py; one server is kept for each set of settings, which it gets as uvicorn's command line. What looks at the inside of uvicorn
fails with AttributeError. Of uvicorn's several implementations one stays, as one server stands for all.
"""

import asyncio
import contextlib
import os
import re
import select
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import anyio
import judge
import pytest
from anyio import create_unix_listener
from relayed import Relay, exception_of
from uvicorn.config import Config
from uvicorn.lifespan.on import LifespanOn
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

FOLDER, SERVER, VENV = os.environ["BRIDGE"], os.environ["BRIDGE_SERVER"], Path(os.environ["BRIDGE_VENV"])
FLAGS = {"ws_max_size": "--ws-max-size", "ws_ping_interval": "--ws-ping-interval", "ws_ping_timeout": "--ws-ping-timeout",
         "ws_per_message_deflate": "--ws-per-message-deflate", "root_path": "--root-path", "limit_concurrency": "--limit-concurrency",
         "timeout_keep_alive": "--timeout-keep-alive", "h11_max_incomplete_event_size": "--h11-max-incomplete-event-size"}
DEFAULTS = Config(app=None)
OTHERS = {"httptools", "zttp", "websockets-sansio"}  # h11 and wsproto stay
LATE = 5  # what has to come must come within these seconds
QUIET = 1  # and after these it is taken that nothing comes


def pytest_collection_modifyitems(items, config):
    left_out = [item for item in items if hasattr(item, "callspec") and set(item.callspec._idlist) & OTHERS]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def flags_of(config):
    """As uvicorn's command line has them; those that are not uvicorn's defaults, and the one for which Tine has another: a trusted
    proxy, as 127.0.0.1 is, may be idle for longer."""
    found = []
    for name, flag in FLAGS.items():
        value = getattr(config, name)
        if value is not None and (value != getattr(DEFAULTS, name) or name == "timeout_keep_alive"):
            found += [flag, str(value).lower() if isinstance(value, bool) else str(value)]
    found += [flag for name, flag in (("server_header", "--no-server-header"), ("date_header", "--no-date-header")) if not getattr(config, name)]
    for name, value in config.headers:
        found += ["--header", f"{name}:{value}"]
    if config.http2:
        found += ["--http", "zttp", "--http2"]
    elif SERVER == "uvicorn":
        found += ["--http", "h11"]
    if config.ws == "none" or SERVER == "uvicorn":
        found += ["--ws", "none" if config.ws == "none" else "wsproto"]
    return tuple(found)


class Server:
    running = {}

    def __init__(self, flags, lifespan=None):
        self.stopping, self.flags, self.port, self.log = False, flags, judge.free_port(), tempfile.NamedTemporaryFile("w+", dir=FOLDER)
        command = judge.command(SERVER, self.port, VENV, [*flags, *(["--lifespan", lifespan] if lifespan else [])], FOLDER)
        environment = {**os.environ, **({"BRIDGE_LIFESPAN": "lifespan"} if lifespan else {})}
        self.process = subprocess.Popen([str(w) for w in command], cwd=judge.HERE, env=environment, stdout=self.log, stderr=self.log)

    @classmethod
    def of(cls, config):
        flags = flags_of(config)
        if flags not in cls.running:
            cls.running[flags] = cls(flags)
            judge.wait_for(cls.running[flags].port, cls.running[flags].process)
        return cls.running[flags]

    def stop(self):
        """Tells it to; it ends once its connections have."""
        self.stopping = True
        self.running.pop(self.flags, None)
        self.process.terminate()

    @classmethod
    def stop_all(cls):
        for server in list(cls.running.values()):
            server.stop()
            server.process.wait()


def pytest_runtest_teardown():
    while Wire.open:
        Wire.open.pop().close()


def pytest_unconfigure():
    Server.stop_all()


# --- the application's side ---

def pickled(message):
    headers = message.get("headers")
    return message if headers is None or isinstance(headers, (list, tuple)) else {**message, "headers": "an iterator", "their": list(headers)}


async def run_app(app, stream, state, seen=lambda scope: None):
    """One request: what relay.py sends over `stream`."""
    relay = Relay(stream)
    scope = (await relay.take())[2]
    seen(scope)

    async def receive():
        message = await relay.ask("receive")
        kind = scope["type"]
        return message or ({"type": "websocket.disconnect", "code": 1006} if kind == "websocket" else {"type": f"{kind}.disconnect"})

    async def send(message):
        fault = await relay.ask("send", pickled(message))
        if fault:
            raise exception_of(*fault)
    error = value = None
    async with anyio.create_task_group() as group:
        group.start_soon(relay.answers)
        try:
            value = await app({**scope, "state": state.copy()}, receive, send)
        except Exception as e:
            error = e
        await relay.over(error, value)
        group.cancel_scope.cancel()
    with contextlib.suppress(OSError, anyio.ClosedResourceError, anyio.BrokenResourceError):
        await stream.aclose()


def loaded(config):
    """The application, also of ASGI 2, without uvicorn's middleware for proxies."""
    config.proxy_headers = False
    if not config.loaded:
        config.load()
    return config.loaded_app


# --- the client's side ---

def whole_response(data, to_head):
    """Whether an answer of HTTP/1 (`to_head`: to HEAD) is there to its end, and whether the connection goes on after it."""
    head, found, body = data.partition(b"\r\n\r\n")
    if found and re.match(rb"HTTP/1.1 1(?!01)", head):
        return whole_response(body, to_head)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    goes_on = not re.search(rb"(?i)\r\nconnection:[^\r]*close", head)
    if not found:
        return False, True
    if to_head or re.match(rb"HTTP/1.1 (204|304|101)", head):
        return True, goes_on
    if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        return body.endswith(b"0\r\n\r\n"), goes_on
    return (len(body) >= int(length[1]), goes_on) if length else (False, False)


class Transport:
    """What the test sees of the connection: what came, and whether it is closed."""

    reading_paused = False  # as far as a client sees

    def __init__(self, wire):
        self.wire, self.data = wire, b""
        self.closed_by_server = self.closed_here = False

    def read(self, seconds):
        end = time.monotonic() + seconds
        while not self.closed_by_server and not self.closed_here:
            if not select.select([self.wire.socket], [], [], max(0, end - time.monotonic()))[0]:
                return
            try:
                piece = self.wire.socket.recv(1 << 20)
            except ConnectionError:
                piece = b""
            self.data += piece
            self.closed_by_server = not piece

    def is_whole(self):
        return whole_response(self.data, self.wire.to_head)

    @property
    def buffer(self):
        self.read(0 if self.is_whole()[0] and not self.wire.http2 and not self.wire.runs_itself else QUIET)
        return self.data

    def clear_buffer(self):
        self.read(0)
        self.data = b""

    def is_closing(self):
        ended = (self.wire.http2 or self.is_whole()[1]) and not self.wire.server.stopping
        self.read(QUIET if ended else LATE)
        return self.closed_by_server or self.closed_here

    closed = property(is_closing)

    def close(self):
        self.closed_here = True
        self.wire.socket.close()


class Loop:
    """Of the mock protocol: run_one() runs the application once."""

    def __init__(self, wire):
        self.wire = wire

    async def run_one(self):
        with anyio.fail_after(LATE):
            stream = await self.wire.next_request()
        await run_app(self.wire.app, stream, self.wire.state, self.wire.see)
        if not self.wire.http2:
            end = time.monotonic() + LATE
            transport = self.wire.transport
            while not transport.is_whole()[0] and not transport.closed_by_server and time.monotonic() < end:
                transport.read(0)
                await asyncio.sleep(0.005)

    def run_later(self, with_delay):
        time.sleep(with_delay)


class Wire:
    """A client's connection in the shape of uvicorn's protocol."""

    open = []

    def __init__(self, config, state=None, http2=False, runs_itself=False):
        self.app, self.state, self.http2, self.runs_itself = loaded(config), {} if state is None else state, http2, runs_itself
        self.server, self.socket, self.to_head, self.scope, self.taken = Server.of(config), socket.socket(), False, None, set()
        self.socket.bind(("127.0.0.1", 0))
        self.listener = socket.socket(socket.AF_UNIX)
        self.path = f"{FOLDER}/{self.socket.getsockname()[1]}"
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.setblocking(False)
        self.socket.connect(("127.0.0.1", self.server.port))
        self.transport, self.loop = Transport(self), Loop(self)
        self.open.append(self)
        if runs_itself:
            self.accepting = asyncio.get_running_loop().create_task(self.serve())

    def close(self):
        self.socket.close()
        self.listener.close()
        os.unlink(self.path)

    def see(self, scope):
        self.scope = scope

    async def next_request(self):
        taken, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        return Stream(taken)

    async def serve(self):
        while True:
            task = asyncio.get_running_loop().create_task(run_app(self.app, await self.next_request(), self.state))
            self.taken.add(task)

    def data_received(self, data):
        self.to_head = data.startswith(b"HEAD ")
        self.socket.settimeout(LATE)
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def connection_made(self, transport):
        pass

    async def finished(self):
        with anyio.fail_after(LATE):
            while not self.taken:
                await asyncio.sleep(0.005)
        await asyncio.gather(*self.taken)

    @property
    def tasks(self):
        """Of the application, which runs as soon as the request has reached it."""
        return [self.finished()]

    @property
    def close_timer(self):
        """Of the closing handshake: not seen from outside, but that it is over is."""
        return None if self.transport.is_closing() else "running"

    def eof_received(self):
        self.socket.shutdown(socket.SHUT_WR)

    def connection_lost(self, error):
        self.socket.close()

    def shutdown(self):
        self.server.stop()


class Stream:
    """A Unix socket as anyio's streams are used by Relay."""

    def __init__(self, taken):
        self.socket = taken

    async def receive(self, most):
        data = await asyncio.get_running_loop().sock_recv(self.socket, most)
        if not data:
            raise anyio.EndOfStream
        return data

    async def send(self, data):
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, data)
        except OSError as e:
            raise anyio.BrokenResourceError from e

    async def aclose(self):
        self.socket.close()


def get_connected_protocol(app, http_protocol_cls=None, lifespan=None, **settings):
    config = Config(app=app, **settings)
    return Wire(config, lifespan.state if isinstance(lifespan, LifespanOn) else None)


def get_connected_http2(app, lifespan=None, **settings):
    config = Config(app=app, http="zttp", http2=True, **settings)
    return Wire(config, lifespan.state if isinstance(lifespan, LifespanOn) else None, http2=True)


class Forwarder:
    """Serves at the port of the test, and passes each connection on to the server."""

    def __init__(self, config, state):
        self.app, self.state, self.server, self.port = loaded(config), state, Server.of(config), config.port
        self.open, self.tasks = set(), set()

    async def forward(self, reader, writer):
        there = socket.socket()
        there.bind(("127.0.0.1", 0))
        path = f"{FOLDER}/{there.getsockname()[1]}"
        there.setblocking(False)
        listener = await create_unix_listener(path)
        await asyncio.get_running_loop().sock_connect(there, ("127.0.0.1", self.server.port))
        to_reader, to_writer = await asyncio.open_connection(sock=there)
        accepting = asyncio.get_running_loop().create_task(self.accept(listener))
        self.open.add(to_writer)
        try:
            await asyncio.gather(self.pipe(reader, to_writer), self.pipe(to_reader, writer))
        finally:
            self.open.discard(to_writer)
            accepting.cancel()
            await listener.aclose()
            os.unlink(path)

    async def accept(self, listener):
        while True:
            self.tasks.add(asyncio.get_running_loop().create_task(run_app(self.app, await listener.accept(), self.state)))

    async def pipe(self, reader, writer):
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(self):
        self.listener = await asyncio.start_server(self.forward, "127.0.0.1", self.port)

    async def shutdown(self):
        """As uvicorn's: tells the clients, and waits for the applications. Without clients the server may stay."""
        self.listener.close()
        if self.open:
            self.server.stop()
        with anyio.move_on_after(LATE):
            while self.open or any(not task.done() for task in self.tasks):
                await asyncio.sleep(0.01)
        for writer in list(self.open):
            writer.close()


@contextlib.asynccontextmanager
async def run_server(config, sockets=None):
    loaded(config)
    lifespan = config.lifespan_class(config)
    await lifespan.startup()
    forwarder = Forwarder(config, lifespan.state)
    await forwarder.serve()
    try:
        yield forwarder
    finally:
        await forwarder.shutdown()
        await lifespan.shutdown()


def init_websocket(self, app, ws_protocol_cls, http_protocol_cls, close_timeout=10.0):
    self._protocol = self._server_state = Wire(Config(app=app, lifespan="off"), runs_itself=True)
    self._transport = self._protocol.transport
    self._client = ClientProtocol(parse_uri("ws://127.0.0.1/"))
    self._bytes_read, self._outbox, self._connection_lost = 0, b"", False


def pytest_collectstart(collector):
    if isinstance(collector, pytest.Module):
        replace(collector.obj)


def replace(module):
    if hasattr(module, "run_server"):
        module.run_server = run_server
    if hasattr(module, "get_connected_protocol"):
        module.get_connected_protocol = get_connected_http2 if hasattr(module, "H2Client") else get_connected_protocol
    if hasattr(module, "MockWebSocketConnection"):
        module.MockWebSocketConnection.__init__ = init_websocket
        globals().update(ClientProtocol=module.ClientProtocol, parse_uri=module.parse_uri)
