# SPDX-License-Identifier: BSD-3-Clause
"""What tine(8), Hooks, says about prometheus_client."""


def child_exit(server, worker):
    from prometheus_client import multiprocess
    multiprocess.mark_process_dead(worker.pid)
