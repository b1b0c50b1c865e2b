# SPDX-License-Identifier: BSD-3-Clause
"""WSGI application for compression: /list, /many (a longer list), /generator (a piece for each /go), /write, /file, /none."""

import tempfile
import threading
from wsgiref.util import FileWrapper

from apps.compressible import text

gate = threading.Semaphore(0)


def generate():
    for i in range(3):
        if i:
            gate.acquire(timeout=20)
        yield b"piece %d\n" % i * 200


def app(environ, start_response):
    path = environ["PATH_INFO"]
    write = start_response("200 OK", [("Content-Type", "text/html")])
    if path == "/list":
        return [text(5000)]
    if path == "/many":
        return [text(40000), b"|", text(40000)]
    if path == "/large":
        return [text(1000000)]
    if path == "/generator":
        return generate()
    if path == "/write":
        for _ in range(5):
            write(text(3000))
        return [b"end"]
    if path == "/file":
        f = tempfile.TemporaryFile()
        f.write(text(100000))
        f.seek(0)
        return environ.get("wsgi.file_wrapper", FileWrapper)(f)
    if path == "/go":
        gate.release()
    return [b"ok"]
