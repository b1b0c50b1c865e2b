# SPDX-License-Identifier: BSD-3-Clause
"""nginx and HAProxy in front of a server, unprivileged, on 127.0.0.1, with what they say of each request.

Each gives every request an id of its own, in X-Request-Id, whatever the client says. What a proxy has sent is what its log
says; Tine's word is its access log. Must never judge: that is for the tests.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest

from lib.client import Conn
from lib.sockets import free_port, listening_socket
from lib.waiting import DEADLINE, wait_for

# One request by the word of a proxy. upstream: the status that the server has answered with, "-": it was not asked.
# id_back, conn: X-Id and X-Conn of the server's answer. port: the client's.
Sent = namedtuple("Sent", "port id method target status upstream id_back conn tries")

# One request by the word of the server. id: the X-Request-Id that it came with.
Seen = namedtuple("Seen", "id status conn line")
SEEN_FORMAT = "%({x-request-id}i)s|%(s)s|%({x-conn}o)s|%(r)s"


def needs(*names):
    """Asked for by TINE_TEST_THOROUGH alone: proxies that happen to be installed must not make every check longer."""
    missing = [name for name in names if not find(name)]
    reason = f"not installed: {', '.join(missing)}" if missing else "TINE_TEST_THOROUGH is not set"
    return pytest.mark.skipif(bool(missing) or "TINE_TEST_THOROUGH" not in os.environ, reason=reason)


def find(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def seen(path):
    """The requests in an access log of SEEN_FORMAT."""
    def plain(text):
        return re.sub(r"\\x([0-9A-Fa-f]{2})", lambda m: chr(int(m[1], 16)), text)
    return [Seen(*map(plain, line.split("|", 3))) for line in Path(path).read_text().splitlines()]


class Front:
    """A proxy that runs; .address is where it listens."""

    def __init__(self, server, **settings):
        self.dir = Path(tempfile.mkdtemp(prefix="front-"))
        self.process = None
        try:
            self.start(server, settings)
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def run(self, *argv, **options):
        """As nobody, when that needs no more than being root."""
        with open(self.dir / "said", "ab") as said:
            if os.geteuid() == 0:
                for path in (self.dir, self.dir / "said"):
                    shutil.chown(path, "nobody", "nogroup")
                options.update(user="nobody", group="nogroup", extra_groups=[])
            self.process = subprocess.Popen(argv, cwd=self.dir, stdin=subprocess.DEVNULL, stdout=said, stderr=said, **options)

    def connect(self, **options):
        return Conn(self.address, **options)

    def is_up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the proxy has ended: {(self.dir / 'said').read_text()[-2000:]}")
        try:
            self.connect().close()
            return True
        except ConnectionRefusedError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


NGINX = """
daemon off; pid {dir}/pid; error_log {dir}/said warn; worker_processes 1;
events {{ worker_connections 4000; }}
http {{
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    log_format sent '$remote_port|$request_id|$request_method|$status|$upstream_status|$upstream_http_x_id|'
                    '$upstream_http_x_conn|$upstream_addr|$request_uri';
    access_log {dir}/log sent;
    client_header_timeout {patience}; client_body_timeout {patience}; keepalive_timeout {keepalive}; keepalive_requests 100000;
    client_max_body_size 0; lingering_close off; large_client_header_buffers 8 32k; ignore_invalid_headers {drop};
    map $http_upgrade $wanted {{ default upgrade; '' ''; }}
    upstream tine {{ server 127.0.0.1:{to}; keepalive 16; }}
    server {{
        listen 127.0.0.1:{port} {http2};
        merge_slashes off;
        location / {{
            proxy_pass http://tine; proxy_http_version 1.1; proxy_request_buffering {buffering};
            proxy_set_header Host $http_host; proxy_set_header X-Request-Id $request_id;
            proxy_set_header Connection $wanted; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
            proxy_read_timeout {read};
        }}
    }}
}}
"""


class Nginx(Front):
    def start(self, server, settings):
        for _ in range(3):  # a port that was free need not be when nginx takes it
            self.address = ("127.0.0.1", free_port())
            values = {"dir": self.dir, "port": self.address[1], "to": server.port, "patience": "2s", "keepalive": "2s",
                      "drop": "on", "http2": "", "buffering": "on", "read": "60s", **settings}
            (self.dir / "conf").write_text(NGINX.format(**values))
            self.run(find("nginx"), "-c", f"{self.dir}/conf", "-e", "stderr")
            try:
                wait_for(self.is_up, what="nginx")
                return
            except AssertionError as e:
                if "Address already in use" not in str(e):
                    raise
        raise AssertionError("no port for nginx")

    def sent(self):
        found = []
        for line in (self.dir / "log").read_text().splitlines():
            port, ident, method, status, upstream, back, conn, addresses, target = line.split("|", 8)
            target = re.sub(r"\\x([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), target)
            found.append(Sent(port, ident, method, target, status, upstream, back, conn, addresses.count(",") + 1))
        return found


HAPROXY = """
global
    log stdout len 65535 format raw local0
    maxconn 4000
    nbthread 1
    tune.bufsize 131072
    tune.http.logurilen 60000
defaults
    mode http
    log global
    timeout connect 10s
    timeout client {patience}
    timeout http-request {patience}
    timeout http-keep-alive {keepalive}
    timeout server {read}
    timeout tunnel {tunnel}
    http-reuse always
    unique-id-format %[uuid()]
frontend front
    bind fd@{fd}
    {lenient}
    declare capture response len 64
    declare capture response len 64
    http-request set-header x-request-id %[unique-id]
    http-response capture res.hdr(x-id) id 0
    http-response capture res.hdr(x-conn) id 1
    log-format "sent|%cp|%ID|%HM|%ST|%s|%[capture.res.hdr(0)]|%[capture.res.hdr(1)]|%rc|%ts|%HU"
    default_backend tine
backend tine
    option forwardfor
    server t 127.0.0.1:{to} {send}
"""


class HAProxy(Front):
    def start(self, server, settings):
        with listening_socket() as s:
            self.address = s.getsockname()
            values = {"fd": s.fileno(), "to": server.port, "patience": "2s", "keepalive": "2s", "lenient": "", "read": "60s",
                      "tunnel": "60s", "send": "", **settings}
            (self.dir / "conf").write_text(HAPROXY.format(**values))
            self.run(find("haproxy"), "-db", "-f", f"{self.dir}/conf", pass_fds=[s.fileno()])
        wait_for(self.is_up, what="haproxy")

    def sent(self):
        """%HU has bytes that would confuse a reader of logs as #XX."""
        found = []
        for line in (self.dir / "said").read_text(errors="surrogateescape").splitlines():
            if not line.startswith("sent|"):
                continue
            _, port, ident, method, status, name, back, conn, retries, state, target = line.split("|", 10)
            target = re.sub("#([0-9A-F]{2})", lambda m: chr(int(m[1], 16)), target)
            asked = status if name == "t" and state == "--" else "-"
            found.append(Sent(port, ident, method, target, status, asked, back, conn, int(retries.lstrip("+")) + 1))
        return found


FRONTS = {
    "nginx": (Nginx, {}),
    "nginx-unbuffered": (Nginx, {"buffering": "off", "drop": "off"}),
    "haproxy": (HAProxy, {}),
    "haproxy-lenient": (HAProxy, {"lenient": "option accept-invalid-http-request"}),
}


def fronts(*names):
    """Parameters for tests: the names of fronts, skipped where they are not installed."""
    return [pytest.param(name, marks=needs(name.partition("-")[0])) for name in names or FRONTS]


def front(name, server, **settings):
    kind, more = FRONTS[name]
    return kind(server, **{**more, **settings})
