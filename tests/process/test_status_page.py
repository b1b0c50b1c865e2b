# SPDX-License-Identifier: BSD-3-Clause
"""What /status shows: after a failed reload the whole traceback and a state that is not green; percentiles, processor time and memory of
each worker; axes of the plots; the host."""

import html
import os
import re
import signal
import socket

from lib.client import Conn
from lib.procfs import freeze
from lib.server import Server
from lib.waiting import wait_for

GOOD = "async def app(scope, receive, send):\n    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n" \
       "    await send({'type': 'http.response.body', 'body': b'x'})\n"
BAD = "def deep(n):\n    if n:\n        deep(n - 1)\n    raise RuntimeError('the last <line> & its end')\ndeep(60)\n"


def test_the_page(tmp_path):
    module = tmp_path / "paged.py"
    module.write_text(GOOD)
    config = {"app": {"pythonpath": str(tmp_path)}, "metrics": {"bind": "unix:metrics.sock"}, "server": {"timeout": "10m"}}
    with Server("paged:app", config, respawn=True, allow=("Traceback",)) as s:
        def page():
            with Conn(str(s.dir / "metrics.sock")) as c:
                return c.request("GET", "/status").body.decode()
        assert s.get("/").status == 200
        wait_for(lambda: "&ndash;</td>" not in page(), what="the request among the worker's")
        seen = page()
        host = html.escape(socket.gethostname())
        assert f'<span class="host">{host}</span>' in seen and f" on {host} - Tine status</title>" in seen
        assert '<span class="badge">running</span>' in seen and "failed\"" not in seen
        (row,) = re.findall(r"<tr><td>1</td>.*?</tr>", seen, re.S)
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)
        assert cells[2] == "ready" and re.fullmatch(r"\S+ (ms|&micro;s|s)", cells[9]) and cells[11].endswith(" MB"), cells
        assert seen.count('<div class="scale"><span>') == 3 and seen.count("<span>3 min ago</span><span>2</span><span>1</span><span>now</span>") == 3

        module.write_text(BAD)
        s.signal(signal.SIGHUP)
        wait_for(lambda: "the last reload failed" in page(), what="the failed reload on the page")
        seen = page()
        assert '<span class="badge warn">running; the last reload failed</span>' in seen
        shown = html.unescape(re.search(r'<section class="failed">.*?<pre>(.*?)</pre></section>', seen, re.S).group(1))
        assert shown.rstrip().endswith("RuntimeError: the last <line> & its end") and "line 5, in <module>" in shown
        assert "app_load" not in shown

        module.write_text(GOOD)
        s.signal(signal.SIGHUP)
        wait_for(lambda: '<span class="badge">running</span>' in page(), what="a page without a failure")
        wait_for(lambda: len(s.workers()) == 1, what="the end of the old worker")
        (pid,) = s.workers()
        freeze(pid)
        try:
            wait_for(lambda: re.search(r'<td class="l silent">silent for \d', page()), what="a silent worker")
            assert '<i class="silent"' in page()
        finally:
            os.kill(pid, signal.SIGCONT)
