# SPDX-License-Identifier: BSD-3-Clause
"""HTTP/2 for bench.py: the servers that speak it, without TLS (prior knowledge) or with, and load by h2load.

8 connections with 32 streams each. h2load tells no percentiles: what is printed as p50 is the mean, and as p99 the longest.
"""
import os
import re
import shutil
import subprocess
import sys

from servers import DEBIAN_PYTHON, FLOOR, Peer, has_module

# name -> (path, size of the POST body)
SCENARIOS = {
    "plaintext": ("/", None),
    "10KB": ("/10k", None),
    "echo1KB": ("/echo", 1024),
    "echo10KB": ("/echo", 10240),
    "stream100": ("/stream", None),
    "1MiB": ("/1m", None),
}
UNIT = {"us": 1e-3, "ms": 1.0, "s": 1e3}

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log stderr crit; worker_processes 1;
events { worker_connections 1000; }
http {
    access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {
        listen 127.0.0.1:{port} http2{ssl}; root {folder}/files; default_type text/plain;{certificate}
        open_file_cache max=100;
    }
}
"""


def make_certificate(folder):
    """(certificate, key): on P-256, for localhost, good for some days."""
    crt, key = os.path.join(folder, "bench.crt"), os.path.join(folder, "bench.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-keyout", key, "-out", crt, "-days", "90", "-subj", "/CN=localhost"], check=True, capture_output=True)
    return crt, key


def nginx(folder, tls):
    files = os.path.join(folder, "files")
    os.makedirs(files, exist_ok=True)
    for name, size in (("10k", 10240), ("1m", 1 << 20)):
        with open(os.path.join(files, name), "wb") as f:
            f.write(b"x" * size)
    certificate = " ssl_certificate %s; ssl_certificate_key %s;" % tls if tls else ""
    config = NGINX.replace("{files}", files).replace("{ssl}", " ssl" if tls else "").replace("{certificate}", certificate)
    return Peer("nginx (static)", ["nginx", "-c", "{config}", "-e", "stderr"], only={"10KB", "1MiB"}, config=config)


def python_peers(python, tag, tls):
    quiet = ["--log-level", "error"]
    if has_module(python, "granian"):
        loop = "uvloop" if has_module(python, "uvloop") else "asyncio"
        certificate = ["--ssl-certificate", tls[0], "--ssl-keyfile", tls[1]] if tls else []
        yield Peer("granian" + tag, [python, "-m", "granian", "--interface", "asginl", "--port", "{port}", "--workers", "1",
                                     "--http", "2", "--no-ws", "--no-log", "--loop", loop, *certificate, "apps:app"])
    if has_module(python, "hypercorn"):
        certificate = ["--certfile", tls[0], "--keyfile", tls[1]] if tls else []
        yield Peer("hypercorn" + tag, [python, "-m", "hypercorn", "-b", "127.0.0.1:{port}", "-w", "1", *quiet, *certificate,
                                       "apps:app"])
    if tls and has_module(python, "daphne", "h2", "priority"):
        yield Peer("daphne" + tag, [python, "-m", "daphne", "-e", "ssl:{port}:privateKey=%s:certKey=%s:interface=127.0.0.1"
                                    % (tls[1], tls[0]), "-v", "0", "apps:app"])


def all_peers(tine, venv, folder, with_tls):
    tls = make_certificate(folder) if with_tls else None
    common = [tine, "-o", "server.workers=1", "-o", "log.loglevel=error", "-b", "127.0.0.1:{port} " + ("tls" if tls else "h2c")]
    if tls:
        common += ["-o", "tls.certfile=" + tls[0], "-o", "tls.keyfile=" + tls[1]]
    yield Peer(FLOOR, [*common, "builtin:hello"], only={"plaintext"})
    yield Peer("tine", [*common, "-o", "app.lifespan=off", "apps:app"])
    yield from python_peers(DEBIAN_PYTHON, "", tls)
    if venv:
        yield from python_peers(os.path.join(venv, "bin", "python"), "/pypi", tls)
    if shutil.which("nginx"):
        yield nginx(folder, tls)


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * UNIT[unit]


def load(peer, scenario, seconds, folder, tls):
    path, body = SCENARIOS[scenario]
    if not shutil.which("h2load"):
        sys.exit("bench: h2load is not installed (apt install nghttp2-client)")
    argv = ["h2load", "-c8", "-m32", "-t1", "-D%d" % seconds]
    if body:
        name = os.path.join(folder, "body%d" % body)
        with open(name, "wb") as f:
            f.write(b"b" * body)
        argv += ["-d", name]
    before = peer.cpu_seconds()
    out = subprocess.run(argv + ["http%s://127.0.0.1:%d%s" % ("s" if tls else "", peer.port, path)],
                         capture_output=True, text=True).stdout
    cpu = peer.cpu_seconds() - before
    done = re.search(r"(\d+) succeeded, (\d+) failed", out)
    good = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", out)
    times = re.search(r"time for request:\s+\S+\s+(\S+)\s+(\S+)", out)
    if not peer.alive() or not done or not good or not int(done.group(1)) or int(done.group(2)):
        return None
    n = int(done.group(1))
    return {
        "rps": float(re.search(r"([\d.]+) req/s", out).group(1)),
        "cpu_us": cpu * 1e6 / n,
        "p50_ms": milliseconds(times.group(2)),
        "p99_ms": milliseconds(times.group(1)),
        "socket_errors": int(done.group(2)),
        "pss_kb": peer.pss_kb(),
    }
