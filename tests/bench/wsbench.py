# SPDX-License-Identifier: BSD-3-Clause
"""The WebSocket scenarios of bench.py: how each is run by wsload, and what idle connections cost."""
import subprocess
import time

IDLE_SECONDS = 5

# name -> arguments of wsload
SCENARIOS = {
    "echo64": ["-c64", "-s64", "echo"],
    "pipelined64": ["-c64", "-s64", "-d16", "echo"],
    "echo1KB": ["-c64", "-s1024", "echo"],
    "echo1KB-deflate": ["-c64", "-s1024", "-z", "echo"],
    "broadcast8": ["-c8", "-s64", "broadcast"],
    "broadcast16": ["-c16", "-s64", "broadcast"],
    "broadcast32": ["-c32", "-s64", "broadcast"],
    "broadcast32-deflate": ["-c32", "-s1024", "-z", "broadcast"],
    "fanout32": ["-c32", "-s64", "fanout"],
    "idle10k": ["-c10000", "-s64", "idle"],
    "idle10k-deflate": ["-c10000", "-s1024", "-z", "idle"],
}


def load(wsload, peer, scenario, seconds, log):
    """Figures of one run; None: the server cannot do it."""
    *options, mode = SCENARIOS[scenario]
    if mode == "idle" and not peer.restart(log):
        return None
    pss = peer.pss_kb()
    argv = [wsload, *options, "-t%d" % seconds, mode, str(peer.port), "/ws/" + ("all" if mode in ("fanout", "broadcast") else "echo")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process:
        try:
            if process.stdout.readline() != "open\n":
                return None
            return idle(process, peer, int(options[0][2:]), pss) if mode == "idle" else busy(process, peer)
        finally:
            process.stdin.close()


def busy(process, peer):
    before = peer.cpu_seconds()
    process.stdin.write("go\n")
    process.stdin.flush()
    words = process.stdout.readline().split()
    cpu = peer.cpu_seconds() - before
    if len(words) != 4 or not int(words[0]) or not peer.alive():
        return None
    messages, seconds, p50, p99 = map(float, words)
    return {"rps": messages / seconds, "cpu_us": cpu * 1e6 / messages, "p50_ms": p50 / 1e3, "p99_ms": p99 / 1e3,
            "pss_kb": peer.pss_kb()}


def idle(process, peer, connections, pss_before):
    """After each has had one message: memory of each connection and CPU time of all."""
    time.sleep(1)
    before = peer.cpu_seconds()
    time.sleep(IDLE_SECONDS)
    cpu, pss = peer.cpu_seconds() - before, peer.pss_kb()
    return {"conn_kb": (pss - pss_before) / connections, "cpu_ms_s": cpu * 1e3 / IDLE_SECONDS, "pss_kb": pss}


def print_idle(results):
    """The rows of idle connections, which have other columns."""
    print("%-20s %-26s %9s %9s %9s %8s" % ("scenario", "server", "KB/conn", "/ tine", "CPU ms/s", "PSS MB"))
    for scenario, by_server in results.items():
        base = by_server.get("tine")
        for name, m in by_server.items():
            if not m:
                print("%-20s %-26s %9s" % (scenario, name, "failed"))
                continue
            ratio = "%.2f" % (m["conn_kb"] / base["conn_kb"]) if base else "-"
            print("%-20s %-26s %9.2f %9s %9.1f %8.1f" % (scenario, name, m["conn_kb"], ratio, m["cpu_ms_s"], m["pss_kb"] / 1024))
        print()

