# SPDX-License-Identifier: BSD-3-Clause
"""Writes into the parts of its scope that applications write into, after looking for such marks of an earlier request."""

from apps.kit import as_json


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    marks = [name for name in ("extensions",) if "mark" in scope[name]]
    marks += ["headers"] if (b"mark", b"1") in map(tuple, scope["headers"]) else []
    marks += ["scope"] if "mark" in scope else []
    scope["extensions"]["mark"] = scope["mark"] = 1
    if isinstance(scope["headers"], list):
        scope["headers"].append((b"mark", b"1"))
    await as_json(send, {"marks": marks})
