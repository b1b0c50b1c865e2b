# SPDX-License-Identifier: BSD-3-Clause
"""Calls a hook with what gunicorn would give it, as far as there is a counterpart: a server with a log and the master's pid, and a worker
with its pid and its number."""

import logging

OF_SERVER = ("when_ready", "on_reload")


class Server:
    def __init__(self, pid):
        self.pid = pid
        self.log = logging.getLogger("tine.hooks")


class Worker:
    def __init__(self, number, pid):
        self.number = number
        self.pid = pid
        self.log = logging.getLogger("tine.hooks")

    def __str__(self):
        return "<Worker %d, pid %d>" % (self.number, self.pid)


def call(module, name, number, pid):
    function = getattr(module, name, None)
    if function is None:
        return
    if name in OF_SERVER:
        function(Server(module._tine_master))
    else:
        function(Server(module._tine_master), Worker(number, pid))
