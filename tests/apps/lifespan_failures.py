# SPDX-License-Identifier: BSD-3-Clause
"""Lifespans that end by an exception at their start: made by failing(), with a name for each of the attributes
WHEN_NAME ("scope_": at the scope, before anything was received; "received_": after lifespan.startup was)."""

import asyncio
import sys

from apps.kit import text


class Own(BaseException):
    pass


EXCEPTIONS = {"exception": ValueError("the database is away"), "exit": SystemExit(2), "interrupt": KeyboardInterrupt("the database is away"),
              "cancelled": asyncio.CancelledError("the database is away"), "generator_exit": GeneratorExit("the database is away"),
              "own": Own("the database is away"), "group": BaseExceptionGroup("the database is away", [SystemExit(1)])}


def failing(exception, received, waits):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            if received:
                await receive()
            if waits:
                await asyncio.sleep(0)
            raise exception
        await text(send, "up")
    return app


for _name, _exception in EXCEPTIONS.items():
    for _when, _received, _waits in (("scope", False, False), ("scope_later", False, True), ("received", True, False), ("received_later", True, True)):
        setattr(sys.modules[__name__], f"{_when}_{_name}", failing(_exception, _received, _waits))
