# SPDX-License-Identifier: BSD-3-Clause
"""A WSGI application that takes its time."""

import time


def app(environ, start_response):
    time.sleep(0.5)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"slept"]
