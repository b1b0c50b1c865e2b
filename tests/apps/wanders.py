# SPDX-License-Identifier: BSD-3-Clause
"""Changes its working folder to $TINE_TEST_ELSEWHERE while it is imported, as older applications do. /cwd says where it is,
/lazy imports a module only then."""

import os

from apps.kit import text

os.chdir(os.environ["TINE_TEST_ELSEWHERE"])


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    if scope["path"] == "/lazy":
        import wanders_lazy
        await text(send, wanders_lazy.WHERE)
    else:
        await text(send, os.getcwd().encode())
