# SPDX-License-Identifier: BSD-3-Clause
"""What an application is given to notice the end of its worker: scope["tine.draining"], environ["tine.draining"]."""

import asyncio
import threading


class Draining(asyncio.Event):
    """Set when the worker begins to stop. For the worker's event loop: `await scope["tine.draining"]`, or as any Event."""

    def __await__(self):
        return self.wait().__await__()

    def __copy__(self):
        return self

    def __deepcopy__(self, memo):
        return self


def make(kind):
    if kind == 'greenlets':
        from gevent.event import Event
        return Event()
    return threading.Event() if kind == 'threads' else Draining()
