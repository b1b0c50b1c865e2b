# SPDX-License-Identifier: BSD-3-Clause
"""A WSGI application that answers when the file GATE of its environment is there."""

import os
import time


def app(environ, start_response):
    while not os.path.exists(os.environ["GATE"]):
        time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"open"]
