# SPDX-License-Identifier: BSD-3-Clause
"""The WSGI half of the soak's application, mounted under /wsgi: the same rules for names and worker ids."""

import json
import os
from urllib.parse import parse_qsl

from soak.content import content, digest


def pieces(data):
    for at in range(0, len(data), 8192):
        yield data[at:at + 8192]


def app(environ, start_response):
    q = dict(parse_qsl(environ["QUERY_STRING"]))
    name = q.get("id", "")
    headers = [("X-Id", name), ("X-Pid", str(os.getpid()))]
    path = environ["PATH_INFO"]
    if path == "/down":
        start_response("200 OK", headers)
        return pieces(content(name, int(q["n"])))
    if path == "/fails":
        raise RuntimeError("soak: on purpose, in WSGI")
    if path == "/up":
        data = environ["wsgi.input"].read()
        answer = json.dumps({"n": len(data), "sha256": digest(data)}).encode()
    else:
        answer = content(name, 64)
    start_response("200 OK", [*headers, ("Content-Length", str(len(answer)))])
    return [answer]
