# SPDX-License-Identifier: BSD-3-Clause
"""The recipes of tine(8), taken from the manual word by word but for addresses: each runs before a Tine where its program is installed,
and is read otherwise as far as that goes."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.request import urlopen

import pytest

from lib.build import ROOT
from lib.proxies import find, needs
from lib.server import Server
from lib.sockets import free_port
from lib.stock_proxies import Stock
from lib.waiting import DEADLINE, wait_for
from lib.ws import WS


def recipe(name):
    """The literal text after the mark of this name."""
    manual = (ROOT / "man" / "tine.8").read_text()
    text = manual.split(f'.\\" recipe {name}\n.Bd -literal -offset indent\n')[1].split("\n.Ed\n")[0] + "\n"
    return text.replace("\\(aq", "'").replace("\\&", "")


def put(text, old, new, times=1):
    """The recipe with an address of this machine; what is replaced must be there."""
    assert text.count(old) == times, f"{old} in {text}"
    return text.replace(old, new)


class Recipe(Stock):
    """`text`: the whole configuration, with @LISTEN@ where the port goes."""

    def __init__(self, program, text):
        self.program, self.text = program, text
        super().__init__(None)

    def start(self, server, settings):
        class One:
            port = 0
        super().start(One, settings)

    def argv(self):
        return {"nginx": (find("nginx"), "-c", f"{self.dir}/conf", "-e", "stderr"), "haproxy": (find("haproxy"), "-f", f"{self.dir}/conf", "-db"),
                "envoy": (find("envoy"), "-c", f"{self.dir}/conf.yaml", "--base-id", str(os.getpid()))}[self.program]

    def conf(self, port):
        text = self.text.replace("@LISTEN@", str(self.address[1])).replace("@DIR@", str(self.dir))
        (self.dir / "conf.yaml").write_text(text)
        return text


def judge(front):
    """A request, what the application is told of its client, a body, and a WebSocket."""
    with front.connect(source="127.0.0.9") as c:
        scope = c.request("GET", "/scope", ["X-Forwarded-For: 192.0.2.66"]).json()
        assert scope["client"][0] == "127.0.0.9" and scope["scheme"] == "http"
        r = c.request("POST", "/sum", body=b"x" * 300000)
        assert r.status == 200
    with front.connect() as c:
        ws = WS(c, "/echo")
        ws.text("over the proxy")
        assert ws.read_text() == "over the proxy"


@pytest.fixture
def open_folder():
    """One that a proxy with another user can reach."""
    with tempfile.TemporaryDirectory(prefix="recipe-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@needs("nginx")
def test_nginx(open_folder):
    path = open_folder / "tine.sock"
    text = put(put(recipe("nginx"), "unix:/run/tine/tine.sock", f"unix:{path}"), "listen 80;", "listen 127.0.0.1:@LISTEN@;")
    temp = " ".join(f"{name}_temp_path @DIR@/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    whole = f"daemon off; pid @DIR@/pid; worker_processes 1; events {{}} http {{ {temp} access_log off;\n{text}\n}}"
    config = {"server": {"bind": f"unix:{path}", "socket_mode": "0666"}, "http": {"forwarded_allow_ips": "unix", "keepalive": "75s"}}
    with Server("behind", config), Recipe("nginx", whole) as front:
        judge(front)


@needs("haproxy")
def test_haproxy():
    places = [(free_port(), free_port()) for _ in range(2)]
    text = put(recipe("haproxy"), "bind :80", "bind 127.0.0.1:@LISTEN@")
    text = put(text, "check port 9100 ", "check ")
    for number, (web, metrics) in enumerate(places, 1):
        text = put(text, f"server shop{number} 192.0.2.1{number}:8000", f"server shop{number} 127.0.0.1:{web} port {metrics}")

    def pod(place):
        return Server("behind", {"server": {"bind": f"127.0.0.1:{place[0]}"}, "metrics": {"bind": f"127.0.0.1:{place[1]}"}})
    with pod(places[0]), Recipe("haproxy", text) as front:
        with front.connect() as c:
            wait_for(lambda: c.request("GET", "/scope").status == 200, what="the pod that is there")
        judge(front)
        assert urlopen(f"http://127.0.0.1:{places[0][1]}/readyz").status == 200


def test_envoy_can_be_read():
    yaml = pytest.importorskip("yaml")
    found = yaml.safe_load(recipe("envoy"))["static_resources"]
    manager = found["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    assert manager["@type"] == "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    assert manager["use_remote_address"] is True
    assert manager["http_filters"][0]["typed_config"]["@type"] == "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    assert manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] == found["clusters"][0]["name"]


@needs("envoy")
def test_envoy():
    web, metrics = free_port(), free_port()
    text = put(recipe("envoy"), "address: 0.0.0.0, port_value: 80}", "address: 127.0.0.1, port_value: @LISTEN@}")
    text = put(put(text, "port_value: 8000}", f"port_value: {web}}}"), "port_value: 9100}", f"port_value: {metrics}}}")
    with Server("behind", {"server": {"bind": f"127.0.0.1:{web}"}, "metrics": {"bind": f"127.0.0.1:{metrics}"}}), Recipe("envoy", text) as front:
        judge(front)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path):
    unit = re.sub("/usr/bin/tine(ctl)?", "/bin/true", recipe("systemd"))
    (tmp_path / "shop.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "shop.service")], capture_output=True, text=True, timeout=DEADLINE)
    assert "shop.service" not in done.stderr.replace(str(tmp_path), ""), done.stderr


def test_the_unit_waits_for_ready_and_drains():
    keys = dict(line.split("=", 1) for line in recipe("systemd").splitlines() if "=" in line)
    assert keys["Type"] == "notify" and keys["KillMode"] == "mixed" and keys["NotifyAccess"] == "all"
    assert int(keys["TimeoutStopSec"]) > 30, "server.graceful_timeout, and the end of the lifespan"


def test_https_has_the_sockets_in_the_order_in_which_systemd_passes_them():
    streams = [line.split("=")[1] for line in recipe("https-socket").splitlines() if line.startswith("ListenStream=")]
    assert streams[0] == "", "those of tine.socket are taken away first"
    wanted = ", ".join(f"fd://{fd}" + (" tls" if stream.endswith(":443") else "") for fd, stream in enumerate(streams[1:], 3))
    assert f"bind = {wanted}\n" in recipe("https")
