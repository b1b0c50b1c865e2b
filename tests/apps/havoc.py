# SPDX-License-Identifier: BSD-3-Clause
"""An application that misuses what the server gives it, as a seed in the query has it: from several threads, from inside its own
objects' methods, in finalizers, and after the end. For tests/fuzz/threads_live.py: the worker must live through it.

`app` is ASGI (HTTP and WebSocket), `wsgi` is WSGI. Each act is one call on something that lies in the bag; whatever is raised is
taken for an answer. An act inside another's call is what the fuzzer is about; they go three deep."""

import _thread
import asyncio
import gc
import io
import logging
import random
import signal
import socket
import sys
import tempfile
import threading
import warnings
from urllib.parse import parse_qs

DEEP = 3
RUNNING = []  # threads; locks of threading's would be taken twice by finalizers
LOCAL = threading.local()
OVER = threading.Event()
SOCKETS = []
LEFT = []  # bags of earlier requests
FILE = tempfile.NamedTemporaryFile()
FILE.write(b"file" * 10000)
FILE.flush()
TYPES = ["http.response.start", "http.response.body", "http.response.trailers", "http.response.pathsend", "http.response.zerocopysend",
         "http.response.early_hint", "websocket.accept", "websocket.send", "websocket.close", "websocket.http.response.start",
         "websocket.http.response.body", "lifespan.startup.complete", "nonsense"]
KEYS = ["type", "status", "headers", "trailers", "body", "more_body", "path", "file", "offset", "count", "links", "text", "bytes",
        "code", "reason", "subprotocol", "more_trailers", "message"]


def prepare():
    warnings.simplefilter("ignore")
    for name in ("asyncio", "concurrent.futures"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda unraisable: None
    sys.setswitchinterval(0.00005)
    gc.set_threshold(20, 5, 1000)
    while len(SOCKETS) < 8:  # never closed: a number that is watched must not become a client's
        SOCKETS.append(socket.socketpair())
        for one in SOCKETS[-1]:
            one.setblocking(False)


def in_thread(function):
    def run():
        try:
            function()
        except BaseException:
            pass
        finally:
            RUNNING.pop()
    if len(RUNNING) < 8:
        RUNNING.append(None)
        _thread.start_new_thread(run, ())


class Evil:
    """An object that acts whenever it is asked something."""

    def __init__(self, bag, value):
        self.bag, self.value = bag, value

    def __bool__(self):
        self.bag.act()
        return bool(self.value)

    def __index__(self):
        self.bag.act()
        return self.value if isinstance(self.value, int) else 1

    __int__ = __index__

    def fileno(self):
        self.bag.act()
        return self.value.fileno()

    def __fspath__(self):
        self.bag.act()
        return FILE.name

    def __iter__(self):
        self.bag.act()
        for one in self.value if isinstance(self.value, (list, tuple, bytes)) else [self.value]:
            self.bag.act()
            yield one

    def __len__(self):
        self.bag.act()
        return 3

    def __hash__(self):
        self.bag.act()
        return hash(self.value) if isinstance(self.value, (str, bytes)) else 1

    def __eq__(self, other):
        self.bag.act()
        return False

    def __repr__(self):
        self.bag.act()
        return "evil"

    def __buffer__(self, flags):
        self.bag.act()
        return memoryview(b"evil")

    def __release_buffer__(self, view):
        self.bag.act()

    def __del__(self):
        self.bag.act()

    def __call__(self, *args):
        self.bag.act()

    def read(self, n=-1):
        self.bag.act()
        return b"evil" if self.bag.random.random() < 0.8 else b""

    def close(self):
        self.bag.act()


class EvilStr(str):
    def __eq__(self, other):
        self.bag.act()
        return str.__eq__(self, other)

    def __hash__(self):
        self.bag.act()
        return str.__hash__(self)

    def __del__(self):
        self.bag.act()


class EvilBytes(bytes):
    def __len__(self):
        self.bag.act()
        return 1

    def __iter__(self):
        self.bag.act()
        return bytes.__iter__(self)

    def __del__(self):
        self.bag.act()


class Bag:
    """What the acts of a request play with."""

    def __init__(self, seed):
        self.random, self.things, self.lists, self.dicts = random.Random(seed), [], [], []

    # --- values ---

    def evil(self, value):
        """`value`, or something that acts before it says the same."""
        choice = self.random.random()
        if choice < 0.75:
            return value
        if isinstance(value, str) and choice < 0.85:
            value = EvilStr(value)
            value.bag = self
            return value
        if isinstance(value, bytes) and choice < 0.85:
            value = EvilBytes(value)
            value.bag = self
            return value
        return Evil(self, value)

    def bytes(self):
        r = self.random
        data = b"x" * r.choice([0, 1, 10, 1000, 70000, 300000, 2000000])
        return r.choice([bytes, bytes, bytes, bytearray, lambda b: memoryview(bytearray(b))])(data)

    def fields(self):
        r = self.random
        pairs = [r.choice([tuple, list])([self.evil(b"x-%d" % r.randrange(9)), self.evil(b"y" * r.randrange(50))]) for _ in range(r.randrange(6))]
        self.lists.append(pairs)
        self.lists += [pair for pair in pairs if isinstance(pair, list)]
        return pairs

    def message(self):
        r = self.random
        kind = r.choice(TYPES[:2] if r.random() < 0.5 else TYPES)
        values = {
            "type": kind, "status": r.choice([200, 204, 304, 404, 99, 1000]), "headers": self.fields(), "trailers": r.random() < 0.2,
            "body": self.bytes(), "more_body": r.random() < 0.7, "path": FILE.name, "file": FILE, "offset": r.randrange(50),
            "count": r.choice([0, 5, 40000, 50000]), "links": [b"</a>"], "text": "text" * r.randrange(9), "bytes": r.choice([None, self.bytes()]),
            "code": r.choice([1000, 4000, 5]), "reason": "why", "subprotocol": None, "more_trailers": False, "message": "m",
        }
        m = {}
        for key in KEYS:
            if key == "type" or r.random() < 0.8:
                m[self.evil(key) if r.random() < 0.1 else key] = self.evil(values[key]) if r.random() < 0.5 else values[key]
        self.dicts.append(m)
        return m

    # --- acts ---

    def act(self):
        depth = getattr(LOCAL, "depth", 0)
        if depth >= DEEP or OVER.is_set():
            return None
        LOCAL.depth = depth + 1
        try:
            return getattr(self, self.random.choice(self.acts))()
        except (Exception, asyncio.CancelledError):
            return None
        finally:
            LOCAL.depth = depth

    def some(self):
        """A bag's thing: mostly our own, else one that another request left behind."""
        bag = self.random.choice(LEFT) if LEFT and self.random.random() < 0.2 else self
        return self.random.choice(bag.things)

    def keep(self, thing):
        if len(self.things) < 40:
            self.things.append(thing)
        else:
            self.things[self.random.randrange(40)] = thing
        return thing

    def act_drop(self):
        del self.things[self.random.randrange(len(self.things))]

    def act_garbage(self):
        circle = [Evil(self, 1)]
        circle.append(circle)

    def act_collect(self):
        gc.collect(self.random.randrange(2))

    def act_change(self):
        """Changes a list or a dictionary that somebody may be reading."""
        if self.dicts and self.random.random() < 0.5:
            self.random.choice(self.dicts).clear()
        elif self.lists:
            self.random.choice(self.lists)[:] = [b"changed" * 100, b"changed" * 100]
        del self.lists[:-20], self.dicts[:-20]

    def act_thread(self):
        def run():
            for _ in range(self.random.randrange(20)):
                self.act()
        in_thread(run)


class AsgiBag(Bag):
    def __init__(self, seed, loop, receive, send):
        super().__init__(seed)
        self.loop, self.receive, self.send = loop, receive, send
        self.things += [receive, send]
        self.ours, self.theirs = self.random.choice(SOCKETS)

    acts = ["act_send", "act_send", "act_send", "act_receive", "act_step", "act_step", "act_step", "act_schedule", "act_handle", "act_watch",
            "act_signal", "act_loop", "act_task", "act_coroutine", "act_threadsafe", "act_their_loop", "act_thread", "act_drop",
            "act_garbage", "act_collect", "act_change"]

    def callables(self):
        bag = self.random.choice(LEFT) if LEFT and self.random.random() < 0.2 else self
        return bag.receive, bag.send

    def act_send(self):
        waiting = self.keep(self.callables()[1](self.message()))
        if self.random.random() < 0.7:
            waiting.send(None)

    def act_receive(self):
        waiting = self.keep(self.callables()[0]())
        if self.random.random() < 0.7:
            self.keep(waiting.send(None))

    def act_step(self):
        thing, r = self.some(), self.random
        r.choice([lambda: thing.send(None), lambda: next(thing), lambda: thing.close(), lambda: thing.throw(KeyError("fuzz")),
                  lambda: thing.throw(r.choice([5, None, KeyError, "x"])), lambda: thing.__await__().send(self.evil(None)),
                  lambda: repr(thing), lambda: thing.cancel(), lambda: thing.set_result(1), lambda: thing.cr_running])()

    def act_schedule(self):
        loop, r = self.loop, self.random
        argument = self.evil(1) if r.random() < 0.3 else 1
        self.keep(r.choice([lambda: loop.call_soon(self.step_once, argument), lambda: loop.call_later(r.random() / 100, self.step_once, argument),
                            lambda: loop.call_at(self.evil(0), self.step_once), lambda: loop.call_later(self.evil(1), self.step_once),
                            lambda: loop.call_soon_threadsafe(self.step_once, argument)])())

    def step_once(self, *unused):
        self.act()

    def act_handle(self):
        thing, r = self.some(), self.random
        r.choice([lambda: thing.cancel(), lambda: repr(thing), lambda: thing.cancelled(), lambda: thing.when(), lambda: hash(thing),
                  lambda: thing < self.some(), lambda: setattr(thing, "_args", (self.evil(1),))])()

    def act_watch(self):
        loop, r = self.loop, self.random
        socket_ = self.evil(self.ours) if r.random() < 0.2 else self.ours
        r.choice([lambda: loop.add_reader(socket_, self.step_once, self.evil(1)), lambda: loop.remove_reader(socket_),
                  lambda: loop.add_writer(socket_, self.step_once, self.evil(1)), lambda: loop.remove_writer(socket_),
                  lambda: self.theirs.send(b"x"), lambda: loop._watched(), lambda: loop._selector.get_map()])()

    def act_signal(self):
        loop, r = self.loop, self.random
        r.choice([lambda: loop.add_signal_handler(signal.SIGURG, self.step_once, self.evil(1)), lambda: loop.remove_signal_handler(signal.SIGURG),
                  lambda: signal.raise_signal(signal.SIGURG)])()

    def act_loop(self):
        loop, r = self.loop, self.random
        r.choice([lambda: loop.run_forever(), lambda: loop.close(), lambda: loop._run_once(), lambda: loop._release(), lambda: loop.set_debug(True),
                  lambda: loop.set_debug(False), lambda: loop.set_debug(False), lambda: loop.time(), lambda: asyncio.all_tasks(loop),
                  lambda: loop.run_until_complete(self.some()), lambda: loop.is_running(), lambda: self.keep(loop.create_future())])()

    def act_task(self):
        r = self.random
        self.keep(r.choice([lambda: self.loop.create_task(self.receive()), lambda: self.loop.create_task(self.send(self.message())),
                            lambda: self.loop.create_task(self.acts_on()), lambda: asyncio.current_task(), lambda: asyncio.current_task(self.loop)])())

    async def acts_on(self):
        for _ in range(3):
            self.act()
            await asyncio.sleep(0)

    def act_coroutine(self):
        thing = self.some()
        self.keep(thing.get_coro())

    def act_threadsafe(self):
        """The right way."""
        asyncio.run_coroutine_threadsafe(self.random.choice([self.receive, lambda: self.send(self.message())])(), self.loop)

    def act_their_loop(self):
        """A thread with a loop of its own, which awaits ours."""
        async def go():
            for _ in range(self.random.randrange(6)):
                receive, send = self.callables()
                try:
                    waiting = receive() if self.random.random() < 0.3 else self.some() if self.random.random() < 0.2 else send(self.message())
                    await asyncio.wait_for(waiting, 0.05)
                except Exception:
                    pass
                self.act()

        in_thread(lambda: asyncio.run(go()))


def leave(bag):
    LEFT.append(bag)
    del LEFT[:-6]


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        prepare()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        OVER.set()
        return await send({"type": "lifespan.shutdown.complete"})
    seed = parse_qs(scope["query_string"].decode()).get("seed")
    if not seed:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
        return await send({"type": "http.response.body", "body": b"well"})
    bag = AsgiBag(seed[0], asyncio.get_running_loop(), receive, send)
    if scope["type"] == "websocket" and bag.random.random() < 0.8:
        await receive()
        await send({"type": "websocket.accept"})
    for _ in range(bag.random.randrange(40)):
        result = bag.act()
        if bag.random.random() < 0.3:
            await asyncio.sleep(0)
        if asyncio.isfuture(result):
            result.cancel()
    bag.loop.remove_reader(bag.ours)
    bag.loop.remove_writer(bag.ours)
    bag.loop.set_debug(False)
    leave(bag)


# --- WSGI ---

class WsgiBag(Bag):
    def __init__(self, seed, environ, start_response):
        super().__init__(seed)
        self.environ, self.start_response, self.things = environ, start_response, [start_response]

    acts = ["act_start", "act_start", "act_write", "act_write", "act_read", "act_errors", "act_wrapper", "act_iterate", "act_thread", "act_drop",
            "act_garbage", "act_collect", "act_change"]

    def one(self):
        bag = self.random.choice(LEFT) if LEFT and self.random.random() < 0.2 else self
        return bag.environ, bag.start_response

    def headers(self):
        r = self.random
        headers = [(self.evil(f"X-{i}"), self.evil("y" * r.randrange(50))) for i in range(r.randrange(6))]
        if r.random() < 0.2:
            headers.append(r.choice([("Content-Length", str(r.randrange(5000))), Evil(self, ("a", "b")), ("Connection", "x")]))
        self.lists.append(headers)
        return headers

    def act_start(self):
        r = self.random
        arguments = [self.evil(r.choice(["200 OK", "204 No", "404 Not", "no"])), self.evil(self.headers())]
        if r.random() < 0.3:
            try:
                raise KeyError("fuzz")
            except KeyError:
                arguments.append(r.choice([sys.exc_info(), (KeyError, 5, 6), self.evil(None)]))
        self.keep(self.one()[1](*arguments))

    def act_write(self):
        self.one()[1].write(self.evil(bytes(self.bytes())))

    def act_read(self):
        r, body = self.random, self.one()[0]["wsgi.input"]
        r.choice([lambda: body.read(self.evil(r.randrange(1000))), lambda: body.read(), lambda: body.readline(self.evil(100)), lambda: body.readlines(),
                  lambda: next(body), lambda: body.close()])()

    def act_errors(self):
        r, errors = self.random, self.one()[0]["wsgi.errors"]
        r.choice([lambda: errors.write(self.evil("fuzz\n")), lambda: errors.writelines(Evil(self, ["fuzz", "fuzz\n"])), lambda: errors.flush()])()

    def act_wrapper(self):
        r = self.random
        wrapper = self.keep(self.environ["wsgi.file_wrapper"](r.choice([Evil(self, b""), io.BytesIO(b"x" * 9000), FILE]), self.evil(1000)))
        r.choice([lambda: next(wrapper), lambda: wrapper.close(), lambda: wrapper.__init__(Evil(self, b"")), lambda: None])()

    def act_iterate(self):
        thing = self.some()
        self.random.choice([lambda: next(thing), lambda: iter(thing), lambda: thing.close(), lambda: repr(thing), lambda: thing(b"x")])()

    def body(self):
        r = self.random
        if r.random() < 0.3:
            whole = [bytes(self.bytes()) for _ in range(r.randrange(4))]
            self.lists.append(whole)
            return whole
        if r.random() < 0.2:
            return self.environ["wsgi.file_wrapper"](r.choice([open(FILE.name, "rb"), io.BytesIO(b"x" * 9000), Evil(self, b"x")]))
        return Pieces(self, r.randrange(6))


class Pieces:
    def __init__(self, bag, n):
        self.bag, self.n = bag, n

    def __iter__(self):
        self.bag.act()
        return self

    def __next__(self):
        self.bag.act()
        self.n -= 1
        if self.n < 0:
            raise StopIteration
        return self.bag.evil(bytes(self.bag.bytes()))

    def close(self):
        self.bag.act()

    def __del__(self):
        self.bag.act()


def wsgi(environ, start_response):
    seed = parse_qs(environ["QUERY_STRING"]).get("seed")
    if not seed:
        start_response("200 OK", [("Content-Length", "4")])
        return [b"well"]
    prepare()
    bag = WsgiBag(seed[0], environ, start_response)
    for _ in range(bag.random.randrange(20)):
        bag.act()
    try:
        start_response("200 OK", [])
    except Exception:
        pass
    leave(bag)
    return bag.body()
