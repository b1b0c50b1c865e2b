# SPDX-License-Identifier: BSD-3-Clause
"""Which descriptors above 2 a child process of the application inherits."""

import asyncio
import json

from apps.kit import as_json

LIST = "import os, json; print(json.dumps([os.readlink(f'/proc/self/fd/{n}') for n in sorted(map(int, os.listdir('/proc/self/fd'))) " \
       "if n > 2 and os.path.exists(f'/proc/self/fd/{n}')]))"


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    p = await asyncio.create_subprocess_exec("/usr/bin/python3", "-c", LIST, stdout=asyncio.subprocess.PIPE, close_fds=False)
    out, _ = await p.communicate()
    await as_json(send, json.loads(out))
