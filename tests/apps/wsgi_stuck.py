# SPDX-License-Identifier: BSD-3-Clause
"""WSGI requests that keep their thread: /hangs until $TINE_TEST_GATE.open is there. An import waits while $TINE_TEST_GATE is."""

import os
import time

from apps.report import report

GATE = os.environ.get("TINE_TEST_GATE", "")
while os.path.exists(GATE):
    time.sleep(0.02)


def hangs(n):
    report(hangs=n)
    while not os.path.exists(GATE + ".open"):
        time.sleep(0.02)
    return "came back"


def app(environ, start_response):
    path, n = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/hangs":
        text = hangs(n)
    else:
        text = str(os.getpid())
    start_response("200 OK", [("Content-Length", str(len(text)))])
    return [text.encode()]


def stream(environ, start_response):
    """Says a word, and then nothing more."""
    start_response("200 OK", [])
    yield b"word"
    hangs("stream")
