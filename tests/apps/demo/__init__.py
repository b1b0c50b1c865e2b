# SPDX-License-Identifier: BSD-3-Clause
"""The application that `./bootstrap run` serves: plain ASGI 3, standard library only.

`demo:app` answers each kind of request that a server has to get right: a page, JSON, a streamed body, server-sent
events, uploads, and a look at the scope and the worker. Without a server it does nothing.
"""

from .application import app

__all__ = ["app"]
