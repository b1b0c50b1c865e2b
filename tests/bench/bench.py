#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures Tine beside whichever peers are installed: one worker each, the same application, interleaved runs.

Prints requests/s, server CPU µs per request, p50/p99 latency, PSS and each server's CPU as a ratio to Tine's and to the
floor's (the same binary answering from C, without Python); writes bench.json and bench.svg. Figures are medians over the
rounds, the server's CPU time being the one to compare on a machine that does other things too. Nothing here passes or
fails.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

import over_h2
import plot
import servers
import tls
import wsbench

HEADERS20 = [arg for i in range(20) for arg in ("-H", "X-Header-%02d: value of the header number %d" % (i, i))]

# name -> (path, connections, extra wrk arguments, size of the POST body)
SCENARIOS = {
    "plaintext": ("/", 64, [], None),
    "10KB": ("/10k", 64, [], None),
    "json": ("/json", 64, [], None),
    "headers20": ("/", 64, HEADERS20, None),
    "echo1KB": ("/echo", 64, [], 1024),
    "echo10KB": ("/echo", 64, [], 10240),
    "stream100": ("/stream", 64, [], None),
    "1MiB": ("/1m", 16, [], None),
    "connect": ("/", 64, ["-H", "Connection: close"], None),
    "sleep10ms": ("/sleep", 256, [], None),
    "awaits10": ("/awaits", 64, [], None),
    "upload64MiB": ("/upload", 2, [], 64 << 20),
    "static1KB": ("/static/1KB.txt", 64, [], None),
    "static50KB": ("/static/50KB.txt", 64, [], None),
    "static10MB": ("/static/10MB.txt", 16, [], None),
}
STATIC = [name for name in SCENARIOS if name.startswith("static")]
BASELINE = " (baseline)"
UNIT = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * UNIT[unit]


def post_script(folder, size):
    path = os.path.join(folder, "post%d.lua" % size)
    with open(path, "w") as f:
        f.write('wrk.method = "POST"\nwrk.body = string.rep("b", %d)\n' % size)
    return path


def load(wrk, peer, scenario, seconds, folder):
    if scenario in tls.HANDSHAKES:
        return tls.handshakes(peer, scenario, seconds)
    path, connections, extra, body = SCENARIOS[scenario]
    argv = [wrk, "-t1", "-c%d" % connections, "-d%ds" % seconds, "--latency", *extra]
    if body:
        argv += ["-s", post_script(folder, body)]
    before = peer.cpu_seconds()
    out = subprocess.run(argv + ["%s://127.0.0.1:%d%s" % (peer.scheme, peer.port, path)], capture_output=True, text=True).stdout
    cpu = peer.cpu_seconds() - before
    requests = re.search(r"(\d+) requests in", out)
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if not peer.alive() or not requests or not int(requests.group(1)) or failed:
        return None
    n = int(requests.group(1))
    return {
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
        "cpu_us": cpu * 1e6 / n,
        "p50_ms": milliseconds(re.search(r"^\s+50%\s+(\S+)", out, re.M).group(1)),
        "p99_ms": milliseconds(re.search(r"^\s+99%\s+(\S+)", out, re.M).group(1)),
        "socket_errors": sum(map(int, re.findall(r"(?:read|write|timeout|connect) (\d+)", out))),
        "pss_kb": peer.pss_kb(),
    }


def median(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]} if runs else None


def revive(peer, log):
    print("%s has ended: starts again" % peer.name, file=sys.stderr)
    return peer.start(log)


def measure(args, peers, folder, log):
    runs = {s: {p.name: [] for p in peers if not p.only or s in p.only} for s in args.scenarios}
    wrk = None if args.interface in ("h2", "h2c") else servers.find_wrk()
    for round_number in range(args.rounds):
        for scenario in args.scenarios:
            for peer in peers:
                if (peer.only and scenario not in peer.only) or not (peer.alive() or revive(peer, log)):
                    continue
                if args.interface in ("h2", "h2c"):
                    run = over_h2.load(peer, scenario, args.seconds, folder, args.interface == "h2")
                else:
                    run = load(wrk, peer, scenario, args.seconds, folder)
                if run:
                    runs[scenario][peer.name].append(run)
                if sys.stderr.isatty():
                    print("\r%d/%d %-10s %-24s" % (round_number + 1, args.rounds, scenario, peer.name), end="", file=sys.stderr)
    return {s: {name: median(r) for name, r in by.items()} for s, by in runs.items()}


def measure_websockets(args, peers, log):
    """Idle connections once: their figures do not scatter."""
    runs = {s: {p.name: [] for p in peers} for s in args.scenarios}
    for round_number in range(args.rounds):
        for scenario in args.scenarios:
            for peer in peers if round_number == 0 or "idle" not in scenario else []:
                if not (peer.alive() or revive(peer, log)):
                    continue
                run = wsbench.load(args.wsload, peer, scenario, args.seconds, log)
                if run:
                    runs[scenario][peer.name].append(run)
                if sys.stderr.isatty():
                    print("\r%d/%d %-16s %-24s" % (round_number + 1, args.rounds, scenario, peer.name), end="", file=sys.stderr)
    return {s: {name: median(r) for name, r in by.items()} for s, by in runs.items()}


def add_ratios(results):
    """To each figure its CPU time divided by Tine's and by the floor's; None where that was not measured."""
    for by_server in results.values():
        for key, name in (("to_tine", "tine"), ("to_floor", servers.FLOOR)):
            base = by_server.get(name)
            for m in filter(None, by_server.values()):
                m[key] = m["cpu_us"] / base["cpu_us"] if base and base["cpu_us"] else None


def print_table(results):
    print("%-20s %-26s %9s %9s %7s %7s %8s %8s %8s"
          % ("scenario", "server", "req/s", "CPU µs", "/ tine", "/ floor", "p50 ms", "p99 ms", "PSS MB"))
    for scenario, by_server in results.items():
        for name, m in by_server.items():
            if not m:
                if name != servers.FLOOR:
                    print("%-20s %-26s %9s" % (scenario, name, "failed"))
                continue
            ratios = ["%.2f" % m[key] if m[key] else "-" for key in ("to_tine", "to_floor")]
            print("%-20s %-26s %9.0f %9.2f %7s %7s %8.2f %8.2f %8.1f"
                  % (scenario, name, m["rps"], m["cpu_us"], *ratios, m["p50_ms"], m["p99_ms"], m["pss_kb"] / 1024))
        print()


def find_peers(args, folder):
    os.chmod(folder, 0o755)  # peers started by root read it as another user
    peers = list(peers_of(args, os.path.abspath(args.tine), folder))
    if args.baseline:
        for peer in peers_of(args, os.path.abspath(args.baseline), folder):
            if "tine" in peer.name:
                peer.name += BASELINE
                peers.append(peer)
    return peers


def peers_of(args, tine, folder):
    if args.interface in ("h2", "h2c"):
        return over_h2.all_peers(tine, args.venv, folder, args.interface == "h2")
    if args.interface == "static":
        files = os.path.join(folder, "files")
        servers.make_files(files)
        return servers.all_static_peers(tine, args.venv, files)
    if args.interface == "tls":
        files = os.path.join(folder, "files")
        servers.make_files(files)
        peers = list(tls.all_tls_peers(tine, args.venv, folder, files))
        for peer in peers:
            peer.scheme = "http" if peer.name.endswith(tls.CLEAR) else "https"
        return peers
    peers = {"asgi": servers.all_peers, "wsgi": servers.all_wsgi_peers, "websocket": servers.all_websocket_peers}
    return peers[args.interface](tine, args.venv)


def default_scenarios(interface):
    if interface == "websocket":
        return list(wsbench.SCENARIOS)
    if interface in ("h2", "h2c"):
        return list(over_h2.SCENARIOS)
    if interface == "tls":
        return tls.SCENARIOS
    return STATIC if interface == "static" else [s for s in SCENARIOS if s not in STATIC]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--interface", choices=["asgi", "wsgi", "static", "websocket", "h2c", "h2", "tls"], default="asgi")
    parser.add_argument("--tine", default="./tine", help="the binary (default ./tine)")
    parser.add_argument("--baseline", metavar="TINE", help="another build of it, to compare with in the same run")
    parser.add_argument("--wsload", default="tests/bench/wsload", help="the load generator for --interface websocket")
    parser.add_argument("--venv", help="virtual environment with peers from PyPI")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--scenarios", type=lambda s: s.split(","), help="only these")
    parser.add_argument("--servers", type=lambda s: s.split(","), help="only these, by name")
    parser.add_argument("--output", default=".", help="folder for bench.json and bench.svg")
    args = parser.parse_args()
    if not args.scenarios:
        args.scenarios = default_scenarios(args.interface)
    if args.interface == "wsgi":
        args.scenarios = [s for s in args.scenarios if s != "awaits10"]
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "log"), "w") as log:
        peers = [p for p in find_peers(args, folder) if not args.servers or p.name in args.servers]
        try:
            running = [p for p in peers if p.start(log) or print("not started:", p.name, file=sys.stderr)]
            results = measure_websockets(args, running, log) if args.interface == "websocket" else \
                measure(args, running, folder, log)
        finally:
            for peer in peers:
                peer.stop()
    idle = {s: results.pop(s) for s in list(results) if s.startswith("idle")}
    add_ratios(results)
    print_table(results)
    if idle:
        wsbench.print_idle(idle)
    os.makedirs(args.output, exist_ok=True)
    with open(os.path.join(args.output, "bench.json"), "w") as f:
        json.dump({**results, **idle}, f, indent=1)
    cpu = {s: {name: m and m["cpu_us"] for name, m in by.items()} for s, by in results.items()}
    with open(os.path.join(args.output, "bench.svg"), "w") as f:
        f.write(plot.svg(list(results), [p.name for p in running], cpu))


if __name__ == "__main__":
    main()
