# SPDX-License-Identifier: BSD-3-Clause
"""HTTPS: the servers with a certificate, and what is measured by handshakes instead of requests."""
import os
import re
import shutil
import subprocess

import servers
from servers import FLOOR, Peer, has_module

CLEAR = " in the clear"
# name -> arguments of `openssl s_time`: a connection for each request, all handshakes full or all resumed by tickets
HANDSHAKES = {"handshake": ["-new"], "resumed": ["-reuse"]}
SCENARIOS = ["plaintext", "10KB", "1MiB", "static10MB", *HANDSHAKES]

NGINX = """
    server {
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {crt};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_tickets on;
        location = / { default_type text/plain; return 200 "Hello, World!"; }
        location /static/ { alias {files}/; }
    }
}
"""


def make_certificate(folder):
    crt, key = os.path.join(folder, "bench.crt"), os.path.join(folder, "bench.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                    "-out", crt, "-days", "2", "-subj", "/CN=localhost"], check=True, capture_output=True)
    os.chmod(key, 0o644)
    return crt, key


def python_tls_peers(python, tag, crt, key):
    only = {"plaintext", "10KB", "1MiB", *HANDSHAKES}
    if has_module(python, "granian"):
        yield Peer("granian" + tag, [python, "-m", "granian", "--interface", "asginl", "--port", "{port}", "--workers", "1",
                                     "--no-ws", "--no-log", "--http", "1", "--ssl-certificate", crt, "--ssl-keyfile", key,
                                     "apps:app"], only=only)
    if has_module(python, "hypercorn"):
        yield Peer("hypercorn" + tag, [python, "-m", "hypercorn", "-b", "127.0.0.1:{port}", "-w", "1", "--log-level", "error",
                                       "--certfile", crt, "--keyfile", key, "apps:app"], only=only)
    if has_module(python, "daphne", "OpenSSL"):
        yield Peer("daphne" + tag, [python, "-m", "daphne", "-e", "ssl:{port}:interface=127.0.0.1:privateKey=%s:certKey=%s"
                                    % (key, crt), "-v", "0", "apps:app"], only=only)


def all_tls_peers(tine, venv, folder, files):
    crt, key = make_certificate(folder)
    common = [tine, "-o", "server.workers=1", "-o", "log.loglevel=error", "-o", "static:/static.dir=" + files]
    secure = ["-b", "127.0.0.1:{port} tls", "-o", "tls.certfile=" + crt, "-o", "tls.keyfile=" + key]
    clear = ["-b", "127.0.0.1:{port}"]
    app = ["-o", "app.lifespan=off", "apps:app"]
    yield Peer(FLOOR, [*common, *secure, "builtin:hello"], only={"plaintext", *HANDSHAKES})
    yield Peer(FLOOR + CLEAR, [*common, *clear, "builtin:hello"], only={"plaintext"})
    yield Peer("tine", [*common, *secure, *app])
    yield Peer("tine" + CLEAR, [*common, *clear, *app], only=set(SCENARIOS) - set(HANDSHAKES))
    if shutil.which("nginx"):
        who = "user root;\n" if os.geteuid() == 0 else ""
        head = servers.NGINX[:servers.NGINX.index("    server {")]
        text = (head + NGINX).replace("{crt}", crt).replace("{key}", key).replace("{files}", files)
        yield Peer("nginx", ["nginx", "-c", "{config}", "-e", "stderr"], config=who + text,
                   only={"plaintext", "static10MB", *HANDSHAKES})
    yield from python_tls_peers(servers.DEBIAN_PYTHON, "", crt, key)
    if venv:
        yield from python_tls_peers(os.path.join(venv, "bin", "python"), "/pypi", crt, key)


def handshakes(peer, scenario, seconds):
    """As bench.load(): a handshake and one small answer on each connection, one connection at a time."""
    argv = ["openssl", "s_time", "-connect", "127.0.0.1:%d" % peer.port, "-www", "/", "-time", str(seconds), *HANDSHAKES[scenario]]
    before = peer.cpu_seconds()
    out = subprocess.run(argv, capture_output=True, text=True).stdout
    cpu = peer.cpu_seconds() - before
    done = re.findall(r"^(\d+) connections in (\d+) real seconds", out, re.M)
    if not done or not int(done[-1][0]):
        return None
    n, real = int(done[-1][0]), int(done[-1][1]) or 1
    each = 1000 * real / n
    return {"rps": n / real, "cpu_us": cpu * 1e6 / n, "p50_ms": each, "p99_ms": each, "socket_errors": 0, "pss_kb": peer.pss_kb()}
