# SPDX-License-Identifier: BSD-3-Clause
"""A plugin of pytest (-p through): starlette.testclient.TestClient, which FastAPI's tests use too, goes through a real server.

The application of each TestClient is replaced by one that sends the request over a socket to the server at $BRIDGE_PORT, whose
application (relay.py) hands it back to this process: here the real one runs, in the same event loop as without a server, and what
it sends returns over the wire. The lifespan stays in this process. What only a test client can know is put into the scope as it was
there: client, server, root_path, state, scheme, the extension http.response.debug.
"""

import base64
import os
import socket

import anyio
import anyio.from_thread
import anyio.to_thread
import h11
import wsproto.events as ws
from relayed import Relay, exception_of
from starlette import testclient
from wsproto import ConnectionType
from wsproto.connection import Connection

FOLDER, PORT = os.environ["BRIDGE"], int(os.environ["BRIDGE_PORT"])
OURS = ("connection", "upgrade", "date", "server", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions",
        "keep-alive", "transfer-encoding")


class Exchange:
    def __init__(self, app, scope, receive, send):
        self.app, self.scope, self.receive, self.send = app, scope, receive, send
        self.started = self.reached = self.trailers = self.left = self.lost = False
        self.closed = None  # websocket.close before accept
        self.error = None
        self.inner = anyio.CancelScope(shield=True)  # of the application: it may raise while the test client leaves
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.path = f"{FOLDER}/{self.socket.getsockname()[1]}"

    # --- the application's side ---

    def seen(self, scope):
        """The scope as the application gets it."""
        mine = self.scope
        added = {name for name, _ in scope["headers"]} - {name for name, _ in mine["headers"]}
        before = dict(mine["headers"])
        headers = [(k, before.get(k, v) if k in (b"sec-websocket-key", b"connection", b"te") else v) for k, v in scope["headers"]
                   if k not in added or k not in (b"te", b"content-length", b"connection", b"upgrade")]
        whole = {**scope, "headers": headers, "client": mine["client"], "server": mine["server"], "root_path": mine["root_path"],
                 "scheme": mine["scheme"], "state": mine["state"]}
        whole["extensions"] = {**scope.get("extensions", {}), **{k: v for k, v in mine["extensions"].items() if k == "http.response.debug"}}
        return whole

    async def run_app(self, listener, done):
        with self.inner:
            await self.run_shielded(listener, done)

    async def run_shielded(self, listener, done):
        stream = None
        try:
            stream = await listener.accept()
            self.reached = True
            relay = Relay(stream)
            scope = (await relay.take())[2]

            async def receive():
                message = await relay.ask("receive")
                return {"type": f"{scope['type']}.disconnect"} if message is None else message

            async def send(message):
                if message["type"] == "http.response.debug":
                    await self.send(message)
                    return
                if message["type"] == "http.response.start":
                    self.started, self.trailers = True, message.get("trailers", False)
                if message["type"] in ("websocket.accept", "websocket.http.response.start"):
                    self.started = True
                if message["type"] == "websocket.close" and not self.started:
                    self.closed = message
                fault = await relay.ask("send", message)
                if fault:
                    self.lost |= fault[0] == "OSError"
                    raise exception_of(*fault)
            async with anyio.create_task_group() as group:
                group.start_soon(relay.answers)
                try:
                    await self.app(self.seen(scope), receive, send)
                except Exception as e:
                    self.error = e
                await relay.over(self.error)
                group.cancel_scope.cancel()
        finally:
            if stream is not None:
                with anyio.CancelScope(shield=True):
                    await stream.aclose()
            done.set()

    # --- the wire's side ---

    def head(self, more=()):
        target = self.scope["raw_path"] + (b"?" + self.scope["query_string"] if self.scope["query_string"] else b"")
        lines = [self.scope.get("method", "GET").encode() + b" " + target + b" HTTP/1.1"]
        names = {k for k, _ in more}
        lines += [k + b": " + v for k, v in [*[f for f in self.scope["headers"] if f[0] not in names], *more]]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def tell(self, message):
        anyio.from_thread.run(self.send, message)

    async def body(self):
        parts = []
        while True:
            message = await self.receive()
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                return b"".join(parts)

    def http(self, body):
        names = {k for k, _ in self.scope["headers"]}
        more = [(b"te", b"trailers"), (b"connection", b"close, te")]
        if b"transfer-encoding" in names:
            body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        elif body and b"content-length" not in names:
            more.append((b"content-length", b"%d" % len(body)))
        self.socket.connect(("127.0.0.1", PORT))
        self.socket.sendall(self.head([f for f in more if f[0] not in names or f[0] == b"connection"]) + body)
        wire = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        wire.send(h11.Request(method=self.scope["method"] if self.scope["method"] in ("HEAD", "CONNECT") else "GET", target="/",
                              headers=[("host", "x")]))
        wire.send(h11.EndOfMessage())
        try:
            self.answer(wire)
        except (h11.RemoteProtocolError, ConnectionError):
            pass  # cut short: the application has raised

    def answer(self, wire):
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                wire.receive_data(self.socket.recv(65536))
            elif isinstance(event, h11.Response):
                if not self.started and event.status_code == 500:
                    return  # the server's own: the exception says more
                headers = [(k, v) for k, v in event.headers.raw_items() if k.lower().decode() not in OURS]
                self.tell({"type": "http.response.start", "status": event.status_code, "trailers": self.trailers,
                           "headers": [(k.lower(), v) for k, v in headers]})
            elif isinstance(event, h11.Data):
                self.tell({"type": "http.response.body", "body": bytes(event.data), "more_body": True})
            elif isinstance(event, h11.EndOfMessage):
                self.tell({"type": "http.response.body", "body": b"", "more_body": False})
                if self.trailers:
                    self.tell({"type": "http.response.trailers", "headers": [(k, v) for k, v in event.headers]})
                return
            elif not isinstance(event, h11.InformationalResponse):
                return

    def open_websocket(self):
        """The connection after a 101, else None."""
        key = base64.b64encode(os.urandom(16))
        self.socket.connect(("127.0.0.1", PORT))
        self.socket.sendall(self.head([(b"sec-websocket-key", key), (b"upgrade", b"websocket")]))
        wire = h11.Connection(h11.CLIENT)
        wire.send(h11.Request(method="GET", target="/", headers=[("host", "x"), ("upgrade", "websocket"), ("connection", "upgrade")]))
        wire.send(h11.EndOfMessage())
        body = []
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                wire.receive_data(self.socket.recv(65536))
            elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                found = dict(event.headers)
                protocol = found.get(b"sec-websocket-protocol")
                self.tell({"type": "websocket.accept", "subprotocol": protocol.decode() if protocol else None,
                           "headers": [(k, v) for k, v in event.headers if k.decode() not in OURS]})
                connection = Connection(ConnectionType.CLIENT)
                connection.receive_data(wire.trailing_data[0])
                return connection
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.refused(response, b"".join(body))
                return None
            else:
                return None

    def refused(self, response, body):
        if self.closed is not None and response.status_code == 403:
            self.tell(self.closed)
        elif self.started:
            self.tell({"type": "websocket.http.response.start", "status": response.status_code,
                       "headers": [(k, v) for k, v in response.headers if k.decode() not in OURS]})
            self.tell({"type": "websocket.http.response.body", "body": body})

    def read_websocket(self, connection):
        text, data = [], []
        try:
            while True:
                for event in connection.events():
                    if isinstance(event, ws.TextMessage):
                        text.append(event.data)
                        if event.message_finished:
                            self.tell({"type": "websocket.send", "text": "".join(text)})
                            text.clear()
                    elif isinstance(event, ws.BytesMessage):
                        data.append(bytes(event.data))
                        if event.message_finished:
                            self.tell({"type": "websocket.send", "bytes": b"".join(data)})
                            data.clear()
                    elif isinstance(event, ws.CloseConnection):
                        self.tell({"type": "websocket.close", "code": event.code, "reason": event.reason or ""})
                        if connection.state.name == "REMOTE_CLOSING":
                            self.socket.sendall(connection.send(event.response()))
                        return
                    elif isinstance(event, ws.Ping):
                        self.socket.sendall(connection.send(event.response()))
                piece = self.socket.recv(65536)
                if not piece:
                    return
                connection.receive_data(piece)
        except OSError:
            return

    async def write_websocket(self, connection):
        while True:
            message = await self.receive()
            if message["type"] == "websocket.disconnect":
                self.left = True
                code = message.get("code", 1000)
                event = ws.CloseConnection(code=code, reason=message.get("reason") or None)
            elif message.get("text") is not None:
                event = ws.TextMessage(data=message["text"])
            else:
                event = ws.BytesMessage(data=message["bytes"])
            try:
                self.socket.sendall(connection.send(event))
            except Exception:
                return

    async def websocket(self):
        assert (await self.receive())["type"] == "websocket.connect"
        connection = await anyio.to_thread.run_sync(self.open_websocket, abandon_on_cancel=True)
        if connection is None:
            return
        async with anyio.create_task_group() as group:
            group.start_soon(self.write_websocket, connection)
            await anyio.to_thread.run_sync(self.read_websocket, connection, abandon_on_cancel=True)
            group.cancel_scope.cancel()

    # --- both ---

    def leave(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    async def run(self):
        listener = await anyio.create_unix_listener(self.path)
        try:
            async with anyio.create_task_group() as group:
                done = anyio.Event()
                group.start_soon(self.run_app, listener, done)
                patience = 2  # for the application, once the client has left
                try:
                    if self.scope["type"] == "http":
                        body = await self.body()
                        await anyio.to_thread.run_sync(self.http, body, abandon_on_cancel=True)
                    else:
                        await self.websocket()
                    patience = 20
                finally:
                    for pause in (0.5, patience):  # what it does last is not to meet a closed connection
                        with anyio.move_on_after(pause, shield=True):
                            while self.reached and not done.is_set():
                                await done.wait()
                        self.leave()
                    self.inner.cancel()
                    group.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await listener.aclose()
            if os.path.exists(self.path):
                os.unlink(self.path)
            if self.error is not None and not (self.left and self.lost):  # both sides closed at once
                raise self.error  # rather than that the test client has left meanwhile


class Through:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        else:
            await Exchange(self.app, scope, receive, send).run()


original = testclient.TestClient.__init__


def init(self, app, *args, **kwargs):
    asgi3 = app if testclient._is_asgi3(app) else testclient._WrapASGI2(app)
    original(self, Through(asgi3), *args, **kwargs)
    self.app = asgi3


testclient.TestClient.__init__ = init
