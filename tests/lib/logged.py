# SPDX-License-Identifier: BSD-3-Clause
"""The access log as tests assert it: the status of each request for a path."""

import re

from lib.waiting import wait_for

LOG = {"log": {"accesslog": "-", "access_log_format": "%(m)s %(U)s %(s)s %(B)s"}}


def logged(server, path):
    """Statuses in the access log of the requests for this path, once there are any."""
    def found():
        return re.findall(rf"^\S+ {re.escape(path)} (\d+) \d+$", server.stdout(), re.M)
    return wait_for(found, what=f"a line of {path}")
