# SPDX-License-Identifier: BSD-3-Clause
"""A WSGI application in greenlets of gevent, one behaviour for each path."""

import json
import os
import sys
import threading
import time

import gevent
import gevent.event
from gevent import monkey

from apps.report import report

PLAIN = [("Content-Type", "text/plain")]
AT_IMPORT = {"patched": monkey.is_module_patched("socket"), "time": monkey.is_object_patched("time", "sleep")}
GATES = {}
LOCK = threading.Lock()


def query(environ):
    return dict(part.split("=", 1) for part in environ["QUERY_STRING"].split("&") if part)


def text(start_response, data):
    start_response("200 OK", PLAIN)
    return [str(data).encode()]


def gate(name):
    return GATES.setdefault(name, gevent.event.Event())


def who(environ, start_response):
    me = gevent.getcurrent()
    return text(start_response, json.dumps({
        **AT_IMPORT, "kind": type(me).__module__ + "." + type(me).__qualname__, "parent": me.parent is gevent.get_hub(),
        "main": threading.current_thread() is threading.main_thread(), "thread": monkey.get_original("threading", "get_ident")(),
        "request": repr(me.spawn_tree_locals["tine.request"]), "multithread": environ["wsgi.multithread"],
        "draining": type(environ["tine.draining"]).__module__, "greenlet": id(me), "pid": os.getpid()}))


def sleep(environ, start_response):
    report(sleeping=query(environ).get("n"))
    time.sleep(float(query(environ)["s"]))
    return text(start_response, "slept")


def wait(environ, start_response):
    """Until /open of the same name."""
    name = query(environ)["gate"]
    report(waiting=name)
    gate(name).wait()
    return text(start_response, "open")


def open_gate(environ, start_response):
    gate(query(environ)["gate"]).set()
    return text(start_response, "opened")


def lock(environ, start_response):
    """A lock of threading is held across a wait."""
    name = query(environ)["gate"]
    report(locking=name)
    with LOCK:
        report(locked=name)
        gate(name).wait()
    return text(start_response, "unlocked")


def killed(environ, start_response):
    report(waiting="killed")
    try:
        gevent.sleep(1000)
    except gevent.GreenletExit:
        report(killed=environ["QUERY_STRING"])
        raise
    return text(start_response, "never")


def stubborn(environ, start_response):
    """Ends for no one."""
    report(waiting="stubborn")
    while True:
        try:
            gevent.sleep(1000)
        except gevent.GreenletExit:
            report(stubborn="still here")


def spawn(environ, start_response):
    """What fails when the request has ended."""
    def fail():
        gate("spawn").wait()
        raise ValueError("in the background\0")

    def fail_later():
        gevent.spawn(fail)

    gevent.spawn(fail_later)
    return text(start_response, "spawned")


def callback(environ, start_response):
    """What fails in the hub, of no greenlet."""
    gevent.get_hub().loop.run_callback(lambda: 1 / 0)
    gevent.sleep(0)
    return text(start_response, "called")


def body(environ, start_response):
    n = 0
    while True:
        piece = environ["wsgi.input"].read(50000)
        n += len(piece)
        report(read=n)
        if not piece:
            return text(start_response, n)


def shared_body(environ, start_response):
    """Read by two greenlets, of which one is not the request's."""
    def read():
        total = 0
        while piece := environ["wsgi.input"].read(10000):
            total += len(piece)
        return total

    other = gevent.spawn(read)
    mine = read()
    return text(start_response, mine + other.get())


def stream(environ, start_response):
    name = query(environ)["gate"]
    start_response("200 OK", PLAIN)

    def pieces():
        report(streaming=name)
        yield b"first\n"
        gate(name).wait()
        yield b"second\n"
    return pieces()


def written(environ, start_response):
    write = start_response("200 OK", PLAIN)
    for n in range(int(query(environ)["n"])):
        write(b"w" * 65536)
        report(wrote=n + 1)
    return [b"end"]


def silent(environ, start_response):
    """The head leaves without a piece."""
    name = query(environ)["gate"]
    start_response("200 OK", PLAIN)

    def pieces():
        gate(name).wait()
        yield b"late"
    return pieces()


def block(environ, start_response):
    monkey.get_original("time", "sleep")(float(query(environ)["s"]))
    return text(start_response, "blocked")


def block_later(environ, start_response):
    gevent.sleep(0.01)
    return block(environ, start_response)


def fork(environ, start_response):
    """A child that uses the hub, in which the copies of other requests wait as well."""
    pid = os.fork()
    if not pid:
        gevent.sleep(0.05)
        report(child="slept")
        os._exit(7)
    return text(start_response, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def fork_returns(environ, start_response):
    """A child that comes back as if it were its parent."""
    pid = os.fork()
    if not pid:
        gevent.sleep(0.05)
        return text(start_response, "the child's answer")
    return text(start_response, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def run(environ, start_response):
    import subprocess
    return text(start_response, subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout)


def leave(environ, start_response):
    gevent.sleep(0)
    sys.exit("enough")


def boom(environ, start_response):
    gevent.sleep(0)
    raise ValueError("boom")


def draining(environ, start_response):
    report(waiting="draining")
    environ["tine.draining"].wait()
    return text(start_response, "drained")


def in_thread(environ, start_response):
    """A native thread of the hub's pool reads the body."""
    return text(start_response, len(gevent.get_hub().threadpool.apply(environ["wsgi.input"].read)))


def app(environ, start_response):
    name = environ["PATH_INFO"].strip("/")
    return globals()[{"open": "open_gate"}.get(name, name)](environ, start_response)


async def asgi(scope, receive, send):
    raise RuntimeError("never called")
