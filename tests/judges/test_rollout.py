# SPDX-License-Identifier: BSD-3-Clause
"""A rolling update without a cluster: pods as processes on ports of their own behind HAProxy, which asks each one's /readyz as
Kubernetes does. A new pod first, then TERM to an old one, which drains (server.drain_delay): no request may fail, however often.
Part of the gate "cluster"; TINE_TEST_THOROUGH=1 runs it elsewhere."""

import signal
from contextlib import ExitStack
from urllib.request import urlopen

from lib.load import Load
from lib.proxies import find, needs
from lib.server import Server
from lib.sockets import free_port
from lib.stock_proxies import Stock
from lib.waiting import wait_for

ROLLOUTS = 20
PODS = 2

APP = """
import asyncio
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    if scope["path"] == "/slow":
        await asyncio.sleep(0.2)
    body = %r
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%%d" %% len(body))]})
    await send({"type": "http.response.body", "body": body})
"""


class Places(Stock):
    """HAProxy with a fixed place for each pod: one more than there are pods."""

    def __init__(self, places):
        self.places = places
        super().__init__(None)

    def start(self, server, settings):
        class One:
            port = 0
        super().start(One, settings)

    def argv(self):
        return find("haproxy"), "-f", f"{self.dir}/conf", "-db"

    def conf(self, port):
        servers = "\n".join(f"    server pod{i} 127.0.0.1:{web} check port {metrics} inter 100ms fastinter 50ms fall 1 rise 1"
                            for i, (web, metrics) in enumerate(self.places))
        return f"""
global
    stats socket {self.dir}/stats mode 666
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 5s
frontend web
    bind 127.0.0.1:{self.address[1]}
    default_backend pods
backend pods
    option httpchk GET /readyz
    http-check expect status 200
    option forwardfor
    http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
    option redispatch
{servers}
"""


class Pod:
    """One tine at a place."""

    def __init__(self, place, version, folder):
        web, metrics = place
        folder.mkdir()
        (folder / "main.py").write_text(APP % str(version).encode())
        self.place, self.metrics = place, metrics
        self.server = Server("main:app", {"server": {"bind": f"127.0.0.1:{web}", "drain_delay": "500ms", "chdir": str(folder)},
                                          "http": {"keepalive": "75s"}, "metrics": {"bind": f"127.0.0.1:{metrics}"}}, cwd=folder)
        self.server.__enter__()

    def is_ready(self):
        with urlopen(f"http://127.0.0.1:{self.metrics}/readyz") as answer:
            return answer.status == 200

    def leave(self):
        self.server.ending = True
        self.server.signal(signal.SIGTERM)


class Rollout:
    """The pods that serve, and those that leave; a new one takes the place of one that has gone."""

    def __init__(self, places, folder):
        self.free, self.folder = list(places), folder
        self.serving, self.leaving = [], []
        for i in range(PODS):
            self.start(0, i)

    def start(self, version, i):
        if not self.free:
            self.wait_gone()
        pod = Pod(self.free.pop(0), version, self.folder / f"{version}-{i}")
        self.serving.append(pod)
        assert pod.is_ready()

    def end_oldest(self):
        pod = self.serving.pop(0)
        self.leaving.append(pod)
        pod.leave()

    def wait_gone(self):
        pod = self.leaving.pop(0)
        pod.server.stop()
        self.free.append(pod.place)

    def stop(self):
        for pod in self.serving + self.leaving:
            pod.server.stop()


@needs("haproxy")
def test_no_request_fails_over_many_rollouts(tmp_path):
    places = [(free_port(), free_port()) for _ in range(PODS + 2)]
    pods = Rollout(places, tmp_path)
    try:
        with Places(places) as front, ExitStack() as stack:
            wait_for(lambda: front_answers(front), what="a pod that HAProxy takes")
            loads = [stack.enter_context(Load(front.address, clients=2, per_connection=n, path=path)) for n in (1, 50) for path in ("/", "/slow")]
            for version in range(1, ROLLOUTS + 1):
                for i in range(PODS):
                    pods.start(version, i)
                    before = sum(load.bodies[str(version)] for load in loads)
                    wait_for(lambda: sum(load.bodies[str(version)] for load in loads) > before + 5, what=f"answers of version {version}")
                    pods.end_oldest()
            for load in loads:
                load.more(5)
        assert [load.failed for load in loads] == [{}] * len(loads)
        print(f"{sum(load.ok for load in loads)} requests over {ROLLOUTS} roll-outs of {PODS} pods")
    finally:
        pods.stop()


def front_answers(front):
    with front.connect() as c:
        return c.request("GET", "/").status == 200
