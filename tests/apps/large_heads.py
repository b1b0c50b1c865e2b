# SPDX-License-Identifier: BSD-3-Clause
"""Answers whose head is many times as large as a frame, made of the path's last letter."""

from apps.kit import body, start


async def app(scope, receive, send):
    letter = scope["path"][-1:].encode()
    await start(send, headers=[(b"x-%d" % i, letter * 4000 + b"%d" % i) for i in range(12)])
    await body(send, letter * 100)
