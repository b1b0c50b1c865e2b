# SPDX-License-Identifier: BSD-3-Clause
"""A chat room: whatever one says, all get, as JSON over WebSockets. Nothing is kept but the last lines.

Each worker is a process with visitors of its own, so the workers pass on what is said: each has a datagram socket in a
folder named after the master. A visitor who does not read is shown out, and holds nobody up.
"""

import asyncio
import collections
import json
import os
import pathlib
import socket
import tempfile

from . import answers, pages

KEPT = 30       # lines that a newcomer sees
UNREAD = 100    # lines that may wait for one visitor
NAME, LINE = 40, 500
PAGE = pages.Template((pages.HERE / "chat.html").read_text())


async def page(scope, receive, send):
    await answers.page(send, PAGE.substitute(style=pages.STYLE), headers=[(b"cache-control", b"no-store")])


def read_line(text):
    """{"who", "text"} as it may be passed on, or None."""
    try:
        said = json.loads(text)
        who, line = str(said["who"]).strip()[:NAME], str(said["text"]).strip()[:LINE]
    except (ValueError, KeyError, TypeError):
        return None
    return json.dumps({"who": who or "somebody", "text": line}) if line else None


class Room(asyncio.DatagramProtocol):
    """The visitors of this worker, and the way to the other workers."""

    def __init__(self):
        self.queues, self.lines = set(), collections.deque(maxlen=KEPT)
        self.folder = pathlib.Path(tempfile.gettempdir()) / f"tine-demo-{os.getuid()}-{os.getppid()}"
        self.socket = self.transport = None

    async def open(self):
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.path = self.folder / str(os.getpid())
        self.path.unlink(missing_ok=True)
        self.socket.bind(str(self.path))
        self.transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=self.socket)

    def close(self):
        self.transport.close()
        self.path.unlink(missing_ok=True)
        try:
            self.folder.rmdir()
        except OSError:
            pass  # other workers are still here

    def datagram_received(self, data, address):
        self.deliver(data.decode())

    def say(self, line):
        self.deliver(line)
        for other in self.folder.iterdir():
            if other == self.path:
                continue
            try:
                self.socket.sendto(line.encode(), str(other))
            except ConnectionRefusedError:
                other.unlink(missing_ok=True)  # its worker is gone
            except OSError:
                pass  # it is too busy to listen

    def deliver(self, line):
        self.lines.append(line)
        for queue in list(self.queues):
            if queue.full():
                self.queues.discard(queue)
                queue.get_nowait()
                queue.put_nowait(None)
            else:
                queue.put_nowait(line)

    def enter(self):
        queue = asyncio.Queue(UNREAD)
        for line in self.lines:
            queue.put_nowait(line)
        self.queues.add(queue)
        return queue


async def pass_on(queue, send):
    """None: the visitor has too much unread."""
    try:
        while (line := await queue.get()) is not None:
            await send({"type": "websocket.send", "text": line})
        await send({"type": "websocket.close", "code": 1008, "reason": "too much unread"})
    except OSError:
        pass  # the visitor has gone


async def visit(scope, receive, send):
    room = scope["state"]["room"]
    await receive()
    await send({"type": "websocket.accept"})
    queue = room.enter()
    writer = asyncio.ensure_future(pass_on(queue, send))
    try:
        while (message := await receive())["type"] == "websocket.receive":
            line = read_line(message.get("text") or "")
            if line:
                room.say(line)
    finally:
        room.queues.discard(queue)
        writer.cancel()
