# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2 judged by others: curl, nghttp, h2load, httpx, h2spec where it is installed, and nginx in front."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from lib.client import Conn
from lib.h2 import H2
from lib.server import Server
from lib.sockets import free_port
from lib.waiting import DEADLINE, wait_for

H2SPEC = os.environ.get("H2SPEC") or shutil.which("h2spec")

NGINX = """
daemon off; pid {dir}/pid; error_log {dir}/log warn; worker_processes 1;
events {{ worker_connections 100; }}
http {{
    access_log off; client_body_temp_path {dir}; proxy_temp_path {dir}; fastcgi_temp_path {dir}; uwsgi_temp_path {dir};
    scgi_temp_path {dir};
    upstream tine {{ server 127.0.0.1:{to}; keepalive 4; }}
    server {{
        listen 127.0.0.1:{port} http2;
        location / {{ proxy_pass http://tine; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


def needs(name):
    return pytest.mark.skipif(not shutil.which(name), reason=f"{name} is not installed")


def run(*argv, **options):
    return subprocess.run(argv, capture_output=True, timeout=6 * DEADLINE, **options)


def curl(url, *args):
    return run("curl", "-sS", "--http2-prior-knowledge", "-m", str(int(DEADLINE)), *args, url).stdout


@pytest.fixture
def server(serve):
    return lambda app: serve(app, flags="h2c")


@needs("curl")
def test_curl(server):
    url = f"http://127.0.0.1:{server('bodies').port}"
    body = os.urandom(3_000_000)
    with tempfile.NamedTemporaryFile() as f:
        f.write(body)
        f.flush()
        assert curl(url + "/echo", "--data-binary", "@" + f.name) == body
    assert curl(url + "/echo", "-X", "POST", "-H", "Expect: 100-continue", "-d", "small") == b"small"
    assert curl(url + "/unread", "-d", "small", "-o", "/dev/null", "-w", "%{http_code} %{http_version}") == b"200 2"


@needs("curl")
def test_curl_trailers_as_grpc_has_them(server):
    url = f"http://127.0.0.1:{server('extended').port}/trailers"
    out = curl(url, "-H", "te: trailers", "-D", "-")
    assert b"x-sum: 1\r\nx-more: 2\r\n" in out


@needs("nghttp")
def test_nghttp(server):
    url = f"http://127.0.0.1:{server('extended').port}"
    out = run("nghttp", "-nv", url + "/path?size=100000", url + "/hints").stdout.decode()
    assert "END_STREAM" in out and "PROTOCOL_ERROR" not in out and ":status: 103" in out


@needs("h2load")
def test_h2load(server):
    out = run("h2load", "-n3000", "-c10", "-m50", f"http://127.0.0.1:{server('answers').port}/stream").stdout.decode()
    assert "3000 succeeded, 0 failed" in out and "3000 2xx" in out


def test_httpx(server):
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("h2")
    with httpx.Client(http1=False, http2=True, timeout=DEADLINE) as client:
        url = f"http://127.0.0.1:{server('bodies').port}"
        r = client.post(url + "/echo", content=b"x" * 200_000)
        assert r.http_version == "HTTP/2" and r.content == b"x" * 200_000
        assert client.post(url + "/echo", content=iter([b"a", b"b"])).content == b"ab"


@pytest.mark.skipif(not H2SPEC, reason="h2spec is not installed, nor named by $H2SPEC")
def test_h2spec(server):
    """The one case that cannot hold is the wrong preface: without TLS the port speaks HTTP/1 too, and says 400."""
    port = server("bodies").port
    out = run(H2SPEC, "-h", "127.0.0.1", "-p", str(port), "-o", "5", "-P", "/digest").stdout.decode()
    passed, failed = re.search(r"(\d+) passed, \d+ skipped, (\d+) failed", out).groups()
    assert int(passed) >= 144 and int(failed) <= 1, out


@needs("nginx")
def test_nginx_in_front():
    """nginx takes HTTP/2 from the client and keeps HTTP/1.1 connections to the server."""
    with Server("bodies") as s, tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        port = free_port()
        (Path(folder) / "conf").write_text(NGINX.format(dir=folder, to=s.port, port=port))
        nginx = subprocess.Popen(["nginx", "-c", f"{folder}/conf", "-e", "stderr"], stderr=subprocess.DEVNULL)
        try:
            def connected():
                try:
                    return Conn(("127.0.0.1", port))
                except ConnectionRefusedError:
                    return None
            h = H2(wait_for(connected, what="nginx"))
            for n in (0, 1, 10000, 60000):
                assert h.post("/echo", b"b" * n).body == b"b" * n
            streams = [h.request("POST", "/echo", end=False) for _ in range(20)]
            for stream in streams:
                h.data(stream, b"%d" % stream, end=True)
            assert [h.answer(stream).body for stream in streams] == [b"%d" % stream for stream in streams]
            h.conn.close()
        finally:
            nginx.terminate()
            nginx.wait(DEADLINE)
