# SPDX-License-Identifier: BSD-3-Clause
"""An application whose objects call send() again while send() looks at them, for test_reentrance.py. Each function completes
its answer; what it found out stands in the last body where the head allows one."""

import asyncio
import signal
import socket
import tempfile

from apps.kit import start, text

END = {"type": "http.response.body", "body": b"inner"}
START = {"type": "http.response.start", "status": 200, "headers": [(b"x-who", b"inner")]}


def run(awaitable):
    """What `await` would give where nothing has to be waited for."""
    iterator = awaitable.__await__()
    try:
        iterator.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("it waits")


class Does:
    """Does something whenever it is asked what it is."""

    def __init__(self, what, value=None):
        self.what, self.value = what, value

    def __bool__(self):
        self.what()
        return bool(self.value)

    def __index__(self):
        self.what()
        return int(self.value)

    def __fspath__(self):
        self.what()
        return self.value

    def __iter__(self):
        self.what()
        return iter(self.value)

    def fileno(self):
        self.what()
        return self.value

    def __del__(self):
        if self.value == "del":
            self.what()


class Key:
    """Collides with a key of a message: looking for that one compares with this one."""

    def __init__(self, name, what):
        self.name, self.what = name, what

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        what, self.what = self.what, lambda: None
        what()
        return False


def outcome(function, *args):
    try:
        return run(function(*args))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


FILE = tempfile.NamedTemporaryFile()
FILE.write(b"file")
FILE.flush()


# --- HTTP ---

async def more_body(scope, receive, send):
    """The flag of a piece ends the answer."""
    await start(send)
    await send({"type": "http.response.body", "body": b"outer", "more_body": Does(lambda: run(send(END)), True)})
    await send({"type": "http.response.body", "body": b"later"})


async def head_in_head(scope, receive, send):
    """The fields of a head send another."""
    found = outcome(send, {"type": "http.response.start", "status": 500, "headers": Does(lambda: run(send(START)), [])})
    await send({"type": "http.response.body", "body": found.encode()})


async def all_in_head(scope, receive, send):
    """... and a whole answer."""
    def whole():
        run(send(START))
        run(send(END))
    outcome(send, {"type": "http.response.start", "status": 500, "headers": Does(whole, [])})
    await send({"type": "http.response.body", "body": b"later"})


async def trailers_flag(scope, receive, send):
    found = outcome(send, {"type": "http.response.start", "status": 500, "trailers": Does(lambda: run(send(START)), False)})
    await send({"type": "http.response.body", "body": found.encode()})


async def fields_go_away(scope, receive, send):
    """What is iterated lets go of itself; looking up the next key changes fields that were seen."""
    message = {"type": "http.response.start", "status": 200}
    message["headers"] = Does(message.clear, [(b"x-%d" % i, b"y" * i) for i in range(50)])
    pairs = [[b"x-a" + b"a" * 1000, b"b" * 1000] for _ in range(40)]
    other = {"type": "http.response.start", "status": 200, "headers": pairs}

    def change():
        for pair in pairs:
            pair[:] = [b"x-other" + b"c" * 1000, b"d" * 1000]
    for name in ("trailers", "headers", "status"):
        other[Key(name, change)] = None
    message_type = await send(message)
    assert message_type is None
    found = outcome(send, other)
    await send({"type": "http.response.body", "body": found.encode()})


async def keys(scope, receive, send):
    """Each lookup in a message sends the next one."""
    first = {Key("status", lambda: run(send(START))): None, "type": "http.response.start", "status": 500}
    found = outcome(send, first)
    second = {Key("more_body", lambda: run(send({**END, "more_body": True}))): None, "type": "http.response.body", "body": b"-outer-", "more_body": True}
    await send(second)
    third = {Key("body", lambda: run(send(END))): None, "type": "http.response.body", "body": b"lost"}
    await send(third)
    print(found, flush=True)


async def path(scope, receive, send):
    await start(send)
    outcome(send, {"type": "http.response.pathsend", "path": Does(lambda: run(send(END)), FILE.name)})
    await send(END)


async def path_in_path(scope, receive, send):
    await start(send)

    def inner():
        waiting.append(send({"type": "http.response.pathsend", "path": FILE.name}))
    waiting = []
    outcome(send, {"type": "http.response.pathsend", "path": Does(inner, FILE.name)})
    await waiting[0]


async def file(scope, receive, send):
    """fileno(), offset and count of a file, each of which ends the answer."""
    await start(send)
    for name in ("file", "offset", "count", "more_body"):
        message = {"type": "http.response.zerocopysend", "file": FILE, "offset": 0, "count": 4, "more_body": True}
        last = name == "more_body"
        piece = {"type": "http.response.body", "body": name.encode(), "more_body": not last}
        value = {"file": FILE.fileno(), "offset": 0, "count": 4, "more_body": True}[name]
        message[name] = Does(lambda: run(send(piece)), value)
        outcome(send, message)


async def hints(scope, receive, send):
    """Links of an early hint that send the head, then all."""
    found = outcome(send, {"type": "http.response.early_hint", "links": Does(lambda: run(send(START)), [b"</a>; rel=preload"])})
    await send({"type": "http.response.body", "body": found.encode()})


async def trailers(scope, receive, send):
    await start(send, trailers=True)
    await send({"type": "http.response.body", "body": b"inner"})
    last = {"type": "http.response.trailers", "headers": [(b"x-who", b"inner")]}
    outcome(send, {"type": "http.response.trailers", "headers": Does(lambda: run(send(last)), [(b"x-who", b"outer")])})
    outcome(send, {"type": "http.response.trailers", "more_trailers": Does(lambda: run(send(last)), False)})


async def bodies(scope, receive, send):
    """Bodies that let go of themselves, and memory that was given back."""
    await start(send)
    message = {"type": "http.response.body", "body": b"a" * 200000, "more_body": True}
    message["more_body"] = Does(message.clear, True)
    outcome(send, message)
    view = memoryview(bytearray(b"b"))
    view.release()
    found = outcome(send, {"type": "http.response.body", "body": view})
    await send({"type": "http.response.body", "body": found.encode()})


async def thrown(scope, receive, send):
    """throw() with what is no exception."""
    await receive()
    found = []
    for what in (5, int, None, "text"):
        waiting = receive()
        waiting.send(None)
        try:
            waiting.throw(what)
        except TypeError as error:
            found.append(type(error).__name__)
    await text(send, "ok" if found == ["TypeError"] * 4 else repr(found))


async def own_coroutine(scope, receive, send):
    coroutine, found = asyncio.current_task().get_coro(), []
    for use in (lambda: coroutine.send(None), lambda: coroutine.throw(KeyError()), coroutine.close):
        try:
            use()
        except ValueError as error:
            found.append(str(error))
    await text(send, "ok" if found == ["coroutine already executing"] * 3 else repr(found))


async def sends_in_receive(scope, receive, send):
    """What is woken by the last piece of the body sends while others still wait for it."""
    got = []

    async def reads():
        got.append((await receive())["type"])
        if len(got) == 1:
            await start(send)
        await send({"type": "http.response.body", "body": b"%d" % len(got), "more_body": len(got) < 3})
    await asyncio.gather(reads(), reads(), reads())


# --- the loop ---

async def watchers(scope, receive, send):
    """Callbacks that change what is watched when they are let go of."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    for what in (lambda: loop.remove_reader(ours), lambda: loop.add_reader(ours, print), lambda: None):
        loop.add_reader(ours, print, Does(what, "del"))
        loop.add_reader(ours, print)
        loop.add_reader(ours, print, Does(what, "del"))
        loop.remove_reader(ours)
    came = asyncio.Event()
    loop.add_reader(ours, came.set)
    theirs.send(b"x")
    await came.wait()
    loop.remove_reader(ours)
    for what in (lambda: loop.remove_signal_handler(signal.SIGALRM), lambda: loop.add_signal_handler(signal.SIGALRM, print)):
        loop.add_signal_handler(signal.SIGALRM, print, Does(what, "del"))
        loop.add_signal_handler(signal.SIGALRM, print)
        loop.remove_signal_handler(signal.SIGALRM)
    loop.remove_signal_handler(signal.SIGALRM)
    ours.close()
    theirs.close()
    await text(send, "ok")


async def timers(scope, receive, send):
    """Timers that cancel and make others when they are let go of; one that was given to another loop."""
    loop = asyncio.get_running_loop()
    mine = [loop.call_later(60, print, Does(lambda: loop.call_later(0, print).cancel(), "del")) for _ in range(50)]
    for handle in mine:
        handle.cancel()
    from _tine import new_loop
    other, astray = new_loop(), loop.call_later(60, print)
    astray._loop = other
    astray.cancel()
    other.close()
    await text(send, "ok")


# --- WebSocket ---

async def websocket(scope, receive, send):
    """Each message of a WebSocket sends the one before it from inside."""
    await receive()
    accept = {"type": "websocket.accept"}
    found = [outcome(send, {"type": "websocket.accept", "headers": Does(lambda: run(send(accept)), [])})]
    message = {"type": "websocket.send", "text": "text"}
    message[Key("bytes", lambda: run(send({"type": "websocket.send", "text": "inner"})))] = None
    await send(message)
    close = {"type": "websocket.close", "code": 4001}
    await send({"type": "websocket.send", "text": found[0] or ""})
    found.append(outcome(send, {"type": "websocket.close", "code": Does(lambda: run(send(close)), 4002)}))
    print("websocket", found[1], flush=True)


async def refuses(scope, receive, send):
    """The code of a close that refuses the handshake first."""
    await receive()
    outcome(send, {"type": "websocket.close", "code": Does(lambda: run(send({"type": "websocket.close"})), 4000)})


async def denies(scope, receive, send):
    await receive()
    first = {"type": "websocket.http.response.start", "status": 418}
    last = {"type": "websocket.http.response.body", "body": b"inner"}
    outcome(send, {**first, "headers": Does(lambda: run(send(first)), [])})
    outcome(send, {**last, "body": b"outer", "more_body": Does(lambda: run(send(last)), True)})


async def accept_fields(scope, receive, send):
    """Looking for the subprotocol changes the fields that were seen."""
    await receive()
    pairs = [[b"x-a" + b"a" * 1000, b"b" * 1000] for _ in range(10)]

    def change():
        for pair in pairs:
            pair[:] = [b"x-other" + b"c" * 1000, b"d" * 1000]
    await send({Key("subprotocol", change): None, "type": "websocket.accept", "headers": pairs})
    await send({"type": "websocket.close"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        message = {"type": "lifespan.startup.complete"}
        await receive()
        message[Key("type", lambda: run(send({"type": "lifespan.startup.complete"})))] = None
        try:
            await send(message)
        except RuntimeError:
            pass
        await receive()
        return await send({"type": "lifespan.shutdown.complete"})
    await globals()[scope["path"].lstrip("/")](scope, receive, send)
