# SPDX-License-Identifier: BSD-3-Clause
"""Answers with the process id of the worker."""

import os

from apps.kit import text


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await text(send, b"%d" % os.getpid())
