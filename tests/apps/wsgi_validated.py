# SPDX-License-Identifier: BSD-3-Clause
"""wsgiref's validator around an application that uses all that PEP 3333 offers; each fault is an AssertionError."""

import warnings
from wsgiref.validate import validator

warnings.simplefilter("error")


def simple(environ, start_response):
    source = environ["wsgi.input"]
    got = [source.read(3), source.readline(), *source.readlines(), *source, source.read(5)]
    environ["wsgi.errors"].write("validated\n")
    environ["wsgi.errors"].writelines(["lines\n"])
    environ["wsgi.errors"].flush()
    status = environ["QUERY_STRING"].replace("+", " ") or "200 OK"
    headers = [] if status[:3] in ("204", "304") else [("Content-Type", "text/plain")]
    write = start_response(status, headers)
    if environ["PATH_INFO"] == "/write":
        write(b"written ")
    return [] if status[:3] in ("204", "304") else [b"".join(got) or b"nothing"]


app = validator(simple)
