# SPDX-License-Identifier: BSD-3-Clause
"""Messages whose types are not quite those of the specification, but whose meaning is clear: ?kind= says which."""

import enum
import http
import types
from collections import UserDict

from apps.kit import query


class Code(int):
    pass


class Index:
    def __index__(self):
        return 203


class Word(bytes, enum.Enum):
    YES = b"yes"


class Bytes(bytes):
    pass


STATUSES = {"enum": http.HTTPStatus.CREATED, "subclass": Code(202), "index": Index()}
VALUES = {"enum": Word.YES, "subclass": Bytes(b"yes"), "bytearray": bytearray(b"yes"), "memoryview": memoryview(b"yes")}
MAPPINGS = {"userdict": UserDict, "proxy": types.MappingProxyType}
REASONS = {"list": [{"loc": ["query", "n"]}], "int": 5, "none": None, "long": "\u00e4" * 200, "bytes": b"caf\xc3\xa9 \xff",
           "long_list": ["x" * 1000], "surrogate": "a\ud800b", "empty": ""}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError(scope["type"])
    kind = query(scope)["kind"]
    if scope["type"] == "websocket":
        await websocket(scope, receive, send, kind)
        return
    status, value, made = STATUSES.get(kind, 200), VALUES.get(kind, b"yes"), MAPPINGS.get(kind, dict)
    name = bytearray(b"x-answer") if kind == "bytearray" else b"x-answer"
    await send(made({"type": "http.response.start", "status": status, "headers": [[name, value]]}))
    await send(made({"type": "http.response.body", "body": b"answered"}))


async def websocket(scope, receive, send, kind):
    await receive()
    close = {"type": "websocket.close", "code": 4000, "reason": REASONS.get(kind)}
    if scope["path"] == "/denies":
        await send({"type": "websocket.http.response.start", "status": STATUSES[kind], "headers": [(b"x-answer", VALUES["bytearray"])]})
        await send({"type": "websocket.http.response.body", "body": bytearray(b"answered")})
        return
    if scope["path"] == "/rejects":
        if kind == "code":
            close["code"] = "4000"
        await send(close)
        return
    await send({"type": "websocket.accept", "headers": [(bytearray(b"x-answer"), memoryview(b"yes"))]})
    await send(MAPPINGS.get(kind, dict)(close))
    await receive()
