# SPDX-License-Identifier: BSD-3-Clause
"""A service on numpy, as ASGI (`app`) and as WSGI (`application`): squares the matrix of float64 that it is sent.

The product is made in a thread, where numpy lets go of the interpreter, so that several run side by side.
"""

import asyncio
import math

import numpy


def squared(body):
    matrix = numpy.frombuffer(body, dtype="<f8")
    side = math.isqrt(len(matrix))
    matrix = matrix.reshape(side, side)
    return numpy.matmul(matrix, matrix).astype("<f8").tobytes()


async def app(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    product = await asyncio.to_thread(squared, body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-numpy", numpy.__version__.encode())]})
    await send({"type": "http.response.body", "body": product})


def application(environ, start_response):
    product = squared(environ["wsgi.input"].read())
    start_response("200 OK", [("X-Numpy", numpy.__version__), ("Content-Length", str(len(product)))])
    return [product]
