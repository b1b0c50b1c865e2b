# SPDX-License-Identifier: BSD-3-Clause
"""Answers with the scope that it was called with, as JSON; bytes as latin-1 text, types named."""

from apps.kit import as_json


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    shown = {k: plain(v) for k, v in scope.items() if k not in ("state", "tine.draining")}
    shown["types"] = {k: type(v).__name__ for k, v in scope.items()}
    shown["header_types"] = sorted({type(part).__name__ for pair in scope["headers"] for part in pair})
    await as_json(send, shown)
