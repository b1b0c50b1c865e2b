#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures what many, slow and hostile clients cost Tine and its peers, one worker each: memory, CPU time, and what a good
client (the probe: a new connection for each request) notices of it. Nothing here passes or fails.

idle        connections that had one answer each and stay; idle-ws WebSockets; idle-tls over TLS
head, body, hello   slow-loris: a byte each second of a request's head, of a body, of a TLS ClientHello
stream, file        slow readers of 1 GiB that the application streams, of a file of 1 GiB

Columns: connections that stood; KB for each; the server's CPU ms per second meanwhile; the probe's p50 and p99 before and
with; requests of the probe without an answer; µs of CPU per request of wrk before and with (idle); how many the server cut,
and at which age (median); CPU of the attacking process in %, which must stay below 100 for the others to mean something.
Figures are medians over the rounds.
"""
import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

import attackers
import bench
import servers
import tls as bench_tls
from servers import Peer, has_module

HOLD = "600"
GIB = 1 << 30
# name -> (kind of attack, path, over TLS, seconds that it is watched after the probe)
SCENARIOS = {
    "idle": ("idle", b"/", False, 0),
    "idle-ws": ("websocket", b"/", False, 0),
    "idle-tls": ("idle", b"/", True, 0),
    "head": ("head", b"/", False, 10),
    "body": ("body", b"/", False, 10),
    "hello": ("hello", b"/", True, 10),
    "stream": ("reader", b"/gib", False, 0),
    "file": ("reader", b"/static/gib.txt", False, 0),
}
TLS = {name for name, s in SCENARIOS.items() if s[2]}
NGINX = """
worker_processes 1; daemon off; error_log stderr crit; pid {folder}/nginx-{port}.pid;
events { worker_connections 15000; }
http {
    access_log off; sendfile on; keepalive_requests 1000000000; keepalive_timeout 600;
    types { text/plain txt; }
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {
        listen 127.0.0.1:{port}{ssl};
        location = / { default_type text/plain; return 200 "Hello, World!"; }
        location /static/ { alias {files}/; }
    }
}
"""


def peers_of(scenario, tine, venv, folder, files, certificate):
    """Tine and peers, each with its defaults but for what ends or limits connections by itself; idle ones stay."""
    secure = scenario in TLS
    crt, key = certificate
    hold = scenario.startswith("idle")
    argv = [tine, "-o", "server.workers=1", "-o", "log.loglevel=error", "-o", "app.lifespan=off", "-b",
            "127.0.0.1:{port}" + (" tls" if secure else ""), "-o", "static:/static.dir=" + files,
            "-o", "server.worker_connections=15000"]
    argv += ["-o", "http.keepalive=" + HOLD] if hold else []
    argv += ["-o", "tls.certfile=" + crt, "-o", "tls.keyfile=" + key] if secure else []
    yield Peer("tine", [*argv, "apps:both"])
    python = os.path.join(venv, "bin", "python") if venv else servers.DEBIAN_PYTHON
    if has_module(python, "gunicorn", "uvicorn") and scenario != "file":
        argv = [python, "-m", "gunicorn", "apps:both", "-b", "127.0.0.1:{port}", "-w", "1", "--log-level", "critical",
                "-k", "uvicorn.workers.UvicornWorker", "--worker-connections", "15000"]
        argv += ["--keep-alive", HOLD] if hold else []
        yield Peer("gunicorn+uvicorn", [*argv, *(["--certfile", crt, "--keyfile", key] if secure else [])])
    if has_module(python, "granian"):
        argv = [python, "-m", "granian", "--interface", "asginl", "--port", "{port}", "--workers", "1", "--no-log",
                "--backpressure", "15000", "--backlog", "2048",
                "--loop", "uvloop" if has_module(python, "uvloop") else "asyncio"]
        argv += ["--http1-header-read-timeout", "60000"] if hold else []
        argv += ["--http", "1", "--ssl-certificate", crt, "--ssl-keyfile", key] if secure else []
        argv += ["--static-path-route", "/static", "--static-path-mount", files] if scenario == "file" else []
        yield Peer("granian", [*argv, "apps:both"])
    if shutil.which("nginx") and scenario not in ("idle-ws", "stream", "body"):
        who = "user root;\n" if os.geteuid() == 0 else ""
        ssl = " ssl; ssl_certificate %s; ssl_certificate_key %s" % certificate if secure else ""
        yield Peer("nginx", ["nginx", "-c", "{config}", "-e", "stderr"],
                   config=who + NGINX.replace("{ssl}", ssl).replace("{files}", files))


def per_request(wrk, peer, seconds, folder):
    """CPU time of a request of wrk; None where that has no meaning."""
    run = bench.load(wrk, peer, "plaintext", seconds, folder)
    return run and run["cpu_us"]


def measure(args, peer, scenario, wrk, folder):
    kind, path, secure, watch = SCENARIOS[scenario]
    n = {"reader": args.readers, "idle": args.idle, "websocket": args.idle}.get(kind, args.attackers)
    peer.scheme = "https" if secure else "http"
    idle = kind in ("idle", "websocket")
    per_request(wrk, peer, 1, folder)  # what it needs for busy times, it has
    m = {"us_before": per_request(wrk, peer, args.seconds, folder)} if idle else {}
    before, pss = attackers.probe(peer.port, args.seconds, secure), peer.pss_kb()
    group = attackers.Attackers(kind, peer.port, n, secure, path)
    try:
        time.sleep(1)
        m["opened"] = group.opened
        m["kb"] = (peer.pss_kb() - pss) / group.opened if group.opened else None
        cpu, started = peer.cpu_seconds(), time.monotonic()
        while_on = attackers.probe(peer.port, args.seconds, secure)
        m["cpu_ms_s"] = 1e3 * (peer.cpu_seconds() - cpu) / (time.monotonic() - started)
        if idle:
            m["us_with"] = per_request(wrk, peer, args.seconds, folder)
        time.sleep(watch)
        m["pss_mb"] = peer.pss_kb() / 1024
        m.update(group.figures())
    finally:
        group.end()
    m.update({"before_" + k: v for k, v in before.items()}, **{"with_" + k: v for k, v in while_on.items()})
    return m if peer.alive() else None


def median(runs):
    """Of each figure; None where a run had none."""
    names = {key for run in runs for key in run}
    by_name = {key: [run[key] for run in runs if run.get(key) is not None] for key in names}
    return {key: statistics.median(values) if values else None for key, values in by_name.items()}


COLUMNS = (("opened", "open", "%.0f"), ("kb", "KB each", "%.1f"), ("pss_mb", "PSS MB", "%.0f"), ("cpu_ms_s", "CPU ms/s", "%.0f"),
           ("before_p50_ms", "p50", "%.2f"), ("with_p50_ms", "p50 with", "%.2f"), ("before_p99_ms", "p99", "%.2f"),
           ("with_p99_ms", "p99 with", "%.2f"), ("with_lost", "lost", "%.0f"), ("us_before", "µs/req", "%.1f"),
           ("us_with", "with", "%.1f"), ("cut", "cut", "%.0f"), ("cut_s", "after s", "%.1f"), ("client_cpu", "client %", "%.0f"))


def print_table(results):
    print("%-10s %-18s" % ("scenario", "server") + "".join(" %9s" % title for _, title, _ in COLUMNS))
    for scenario, by_server in results.items():
        for name, m in by_server.items():
            cells = [form % m[key] if m and m.get(key) is not None else "-" for key, _, form in COLUMNS]
            print("%-10s %-18s" % (scenario, name) + "".join(" %9s" % cell for cell in cells))
        print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tine", default="./tine", help="the binary (default ./tine)")
    parser.add_argument("--venv", help="virtual environment with peers from PyPI")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each probe and each run of wrk")
    parser.add_argument("--idle", type=int, default=10000, help="idle connections")
    parser.add_argument("--attackers", type=int, default=1000, help="of a slow-loris")
    parser.add_argument("--readers", type=int, default=100, help="slow readers")
    parser.add_argument("--scenarios", type=lambda s: s.split(","), default=list(SCENARIOS), help="only these")
    parser.add_argument("--servers", type=lambda s: s.split(","), help="only these, by name")
    parser.add_argument("--output", default=".", help="folder for attacks.json")
    args = parser.parse_args()
    attackers.allow_many_files()
    tine, wrk = os.path.abspath(args.tine), servers.find_wrk()
    runs = {s: {} for s in args.scenarios}
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "log"), "w") as log:
        os.chmod(folder, 0o755)
        files = os.path.join(folder, "files")
        os.mkdir(files)
        with open(os.path.join(files, "gib.txt"), "wb") as f:
            f.truncate(GIB)
        certificate = bench_tls.make_certificate(folder)
        for _ in range(args.rounds):
            for scenario in args.scenarios:
                for peer in peers_of(scenario, tine, args.venv, folder, files, certificate):
                    if args.servers and peer.name not in args.servers:
                        continue
                    found = runs[scenario].setdefault(peer.name, [])
                    try:
                        run = measure(args, peer, scenario, wrk, folder) if peer.start(log) else None
                        found += [run] if run else []
                    finally:
                        peer.stop()
                    print("%s %s: %s" % (scenario, peer.name, "done" if run else "failed"), file=sys.stderr)
    results = {s: {name: median(found) for name, found in by.items()} for s, by in runs.items()}
    print_table(results)
    os.makedirs(args.output, exist_ok=True)
    with open(os.path.join(args.output, "attacks.json"), "w") as f:
        json.dump(results, f, indent=1)


if __name__ == "__main__":
    main()
