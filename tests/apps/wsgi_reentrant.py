# SPDX-License-Identifier: BSD-3-Clause
"""A WSGI application whose objects call start_response() and write() again, from inside and from other threads."""

import gc
import io
import threading

BIG = b"0123456789abcdef" * 16384
LATE = []


def in_thread(function, *args):
    """What it returns, or the exception as text."""
    found = []

    def run():
        try:
            found.append(function(*args))
        except BaseException as error:
            found.append(f"{type(error).__name__}: {error}")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def outcome(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Body:
    def __init__(self, pieces, close=lambda: None):
        self.pieces, self.close = iter(pieces), close

    def __iter__(self):
        return self

    def __next__(self):
        piece = next(self.pieces)
        return piece() if callable(piece) else piece


def close_writes(environ, start_response):
    """close() calls write() behind the last piece."""
    write = start_response("200 OK", [])
    return Body([b"body"], lambda: LATE.append(outcome(write, b"behind")))


def close_writes_with_length(environ, start_response):
    write = start_response("200 OK", [("Content-Length", "4")])
    return Body([b"body"], lambda: LATE.append(outcome(write, b"behind")))


def close_restarts(environ, start_response):
    start_response("200 OK", [])
    return Body([b"body"], lambda: LATE.append(outcome(start_response, "500 No", [])))


def fails_then_writes(environ, start_response):
    """The error ends the answer; close() writes all the same."""
    write = start_response("200 OK", [])

    def fail():
        raise KeyError("on purpose")
    return Body([fail], lambda: LATE.append(outcome(write, b"behind")))


def pieces_write(environ, start_response):
    """write() while it is iterated, which PEP 3333 does not allow."""
    write = start_response("200 OK", [])
    return Body([lambda: write(b"1") or b"2", lambda: write(b"3") or b"", b"4"])


def late(environ, start_response):
    found = ";".join(map(str, LATE))
    LATE.clear()
    start_response("200 OK", [])
    return [found.encode()]


class Reinitialised(io.BytesIO):
    wrapper = None

    def read(self, n=-1):
        Reinitialised.wrapper.__init__(io.BytesIO(b"second"), 3)
        gc.collect()
        return super().read(n)


def wrapper_again(environ, start_response):
    """A file that makes its wrapper wrap another one while it is read."""
    start_response("200 OK", [])
    Reinitialised.wrapper = wrapper = environ["wsgi.file_wrapper"](Reinitialised(b"first-"))
    return wrapper


def odd_status(environ, start_response):
    class Status(str):
        def __repr__(self):
            start_response("200 OK", [("X-Who", "inner")])
            return "status"
    found = outcome(start_response, Status("no"), [])
    return [found.encode()]


def odd_header(environ, start_response):
    headers = [("X-A", "a")] * 40

    class Pair(list):
        def __repr__(self):
            headers.clear()
            start_response("200 OK", [("X-Who", "inner")])
            return "pair"
    headers.append(Pair())
    found = outcome(start_response, "200 OK", headers)
    return [found.encode()]


# --- threads ---

def other_thread(environ, start_response):
    """The application itself in another thread, as a middleware that limits its time does it."""
    body = in_thread(environ["wsgi.input"].read)
    in_thread(start_response, "200 OK", [("X-Who", "thread")])
    return [body]


def two_writers(environ, start_response):
    """Large pieces of two threads at once: each whole, in some order."""
    write = start_response("200 OK", [])
    threads = [threading.Thread(target=lambda letter=letter: [write(bytes(letter) * 100000) for _ in range(20)]) for letter in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return []


def list_changes(environ, start_response):
    """The list is emptied by another thread while its only piece is sent."""
    start_response("200 OK", [])
    whole = [b"x" * 8000000]

    def empty():
        whole.clear()
        environ["wsgi.errors"].write("the list is empty\n")
    threading.Timer(0.05, empty).start()
    return whole


def write_elsewhere(environ, start_response):
    """write() of another thread: works where the pool runs the application, is refused where the event loop's thread does."""
    write = start_response("200 OK", [])
    found = in_thread(write, b"written")
    return [found.encode()] if found else []


def after_the_end(environ, start_response):
    """A thread that outlives its request: everything of it is still tried."""
    write = start_response("200 OK", [])
    body = environ["wsgi.input"]

    def use():
        gone.wait()
        LATE.append(outcome(write, b"behind"))
        LATE.append(outcome(start_response, "200 OK", []))
        LATE.append(outcome(body.read))
        environ["wsgi.errors"].write("late line\n")
        done.set()
    gone, done = threading.Event(), threading.Event()
    threading.Thread(target=use).start()
    WAITING.append((gone, done))
    return [b"ok"]


WAITING = []


def end(environ, start_response):
    for gone, done in WAITING:
        gone.set()
        done.wait()
    WAITING.clear()
    return late(environ, start_response)


def app(environ, start_response):
    return globals()[environ["PATH_INFO"].lstrip("/")](environ, start_response)
