# SPDX-License-Identifier: BSD-3-Clause
"""An application in a folder of its own, which answers with its version and whose code the test changes."""

import contextlib
import os

from lib.server import Server
from lib.waiting import wait_for

CODE = """
import asyncio
import os
VERSION = %r

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/forever":
        await asyncio.Event().wait()
    if scope["path"] == "/slow":
        open(__file__ + ".slow", "w").close()
        while not os.path.exists(__file__ + ".go"):
            await asyncio.sleep(0.01)
    body = "\\n".join(f"{k}={v}" for k, v in os.environ.items()).encode() if scope["path"] == "/environment" else VERSION
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%%d" %% len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


def code(version):
    """The application that answers with this version; /forever never, /slow after Site.go(), /environment with os.environ."""
    return CODE % version.encode()


class Site:
    """site_app:app in a folder; .file is its code, at first that of version "one"."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "site_app.py"
        self.version("one")

    def write(self, text):
        self.file.write_text(text)

    def version(self, name):
        """What the application answers from its next start on."""
        self.write(code(name))

    def go(self):
        """Lets requests for /slow end."""
        (self.folder / "site_app.py.go").touch()

    @contextlib.contextmanager
    def held(self, version):
        """Code that waits while it loads; release(until) lets all of it continue, again and again until until()."""
        gate = self.folder / "gate.fifo"
        os.mkfifo(gate)
        self.write(f"open({str(self.folder / 'loading')!r}, 'w').close()\nopen({str(gate)!r}).read()\n" + code(version))

        def release(until):
            def once():
                with contextlib.suppress(OSError):
                    os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
                return until()
            wait_for(once, what="the reload")
        try:
            yield release
        finally:
            gate.unlink()

    def server(self, module="site_app:app", *, options=None, **config):
        """A Server, not started yet. config: sections; options: more arguments of Server."""
        config = {"app": {"pythonpath": self.folder}, **config}
        return Server(module, config, respawn=True, allow=("Traceback",), **(options or {}))


def serves(server, version):
    """Waits until a connection is answered by this version: an old worker may take one until it has read that it is to drain."""
    wait_for(lambda: server.get("/").body == version.encode(), what=f"answers by {version}")
