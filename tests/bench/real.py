#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures Tine beside its peers on real applications (real_apps/): one worker each, interleaved runs.

Prints server CPU µs per request, the kernel's share of it, voluntary context switches per request, requests/s, p50/p99 latency
and the CPU as a ratio to Tine's; "framework only" is the same application called in a loop in the same Python, by a receive and a
send that do nothing. At the end one line a row: Tine's CPU to uvicorn's and to the best peer's, and what the server itself adds to
the framework's. Writes bench-real.json and bench-real.svg. Figures are medians over the rounds. Nothing passes or fails.

Rows with a database have a private Redis or PostgreSQL (Debian's redis-server, postgresql), whose CPU is not counted. What is not
installed is left out. No server writes an access log.
"""
import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple

import bench
import held
import plot
import real_summary
import servers
import services
import wsbench
from real_summary import ALONE, TINE_ALSO
from servers import Peer

APPS = os.path.join(servers.HERE, "real_apps")


class Row(NamedTuple):
    app: str
    path: str
    threads: int = 0  # 0: ASGI
    post: tuple = ()  # content type and body
    connections: int = 32
    env: dict = {}
    loop: str = ""  # app.loop, and the peers' on the same loop
    kind: str = ""  # "websocket": echoes of wsload; "held": so many connections with a request that waits, and their memory
    service: str = ""  # "redis", "postgres": see Services
    also: tuple = ()  # what `-o` has in a second Tine


BOUNDARY = "bench-boundary"


def multipart(size):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n' \
           "Content-Type: application/octet-stream\r\n\r\n"
    return f"multipart/form-data; boundary={BOUNDARY}", head + "x" * size + f"\r\n--{BOUNDARY}--\r\n"


BARE = {"BENCH_BARE": "1"}
# With it Starlette runs no task beside an answer to listen for a disconnect. h2corn always says so.
SPEC = ("app.asgi_spec_version=2.5",)
GREENLETS = 6000  # at a time
# The same on each event loop, beside the server whose users have that one.
ON_LOOPS = {f"{loop} {name}": Row(app, path, loop=loop, connections=connections)
            for loop in ("asyncio", "uvloop", "trio")
            for name, app, path, connections in (("plaintext", "plain:asgi", "/", 32), ("sleep 256", "plain:anyio_sleep", "/", 256),
                                                 ("fastapi async", "fast:app", "/async", 32))}
ON_LOOPS |= {f"{loop} websocket": Row("plain:websocket", "/", loop=loop, kind="websocket") for loop in ("asyncio", "uvloop", "trio")}
ON_LOOPS |= {f"gevent {name}": Row(app, path, GREENLETS, loop="gevent", connections=connections, kind=kind)
             for name, app, path, connections, kind in (
                 ("plaintext", "plain:wsgi", "/", 32, ""), ("flask json", "flask_site:app", "/json", 32, ""),
                 ("flask sleep 256", "flask_site:app", "/sleep", 256, ""), ("flask held 5000", "flask_site:app", "/hold", 5000, "held"))}
ROWS = {
    "plaintext": Row("plain:asgi", "/"),
    "fastapi async": Row("fast:app", "/async"),
    "fastapi def": Row("fast:app", "/def"),
    "fastapi dependencies": Row("fast:app", "/dependencies"),
    "fastapi model": Row("fast:app", "/model", post=("application/json", '{"name": "a", "price": 1.5, "tags": ["x", "y"]}')),
    "fastapi stream": Row("fast:app", "/stream", also=SPEC),
    "fastapi stream sync": Row("fast:app", "/stream-sync", also=SPEC),
    "fastapi events": Row("fast:app", "/events", also=SPEC),
    "fastapi websocket": Row("fast:app", "/ws/echo", kind="websocket"),
    "fastapi template": Row("fast:app", "/template"),
    "fastapi background": Row("fast:app", "/background"),
    "fastapi file": Row("fast:app", "/file"),
    "fastapi static": Row("fast:app", "/static/20KB.txt"),
    "fastapi upload 20KB": Row("fast:app", "/upload", post=multipart(20000)),
    "fastapi upload 20MB": Row("fast:app", "/upload", post=multipart(20 << 20), connections=2),
    "middleware twice": Row("fast:app", "/wrapped/middleware"),
    "django sync": Row("django_site:application", "/sync"),
    "django async": Row("django_site:application", "/async"),
    "django bare sync": Row("django_site:application", "/sync", env=BARE),
    "django bare async": Row("django_site:application", "/async", env=BARE),
    "sqlalchemy aiosqlite": Row("database:app", "/thing"),
    "sqlalchemy asyncpg": Row("database:app", "/thing", service="postgres"),
    "redis": Row("cache:app", "/value", service="redis"),
    "wsgi plain 4": Row("plain:wsgi", "/", 4),
    "wsgi flask json 4": Row("flask_site:app", "/json", 4),
    "wsgi flask template 4": Row("flask_site:app", "/template", 4),
    "wsgi flask sleep 16": Row("flask_site:app", "/sleep", 16),
    **{f"wsgi django {name}{threads}": Row("django_site:wsgi", path, threads)
       for name, path in (("", "/sync"), ("sleep ", "/sleep")) for threads in (1, 4, 16)},
    "wsgi upload 64MB 4": Row("plain:wsgi", "/upload", 4, post=("application/octet-stream", "x" * (64 << 20)), connections=2),
    "wsgi blocks 4": Row("plain:wsgi", "/blocks", 4),
    **ON_LOOPS,
}


def tine_peer(name, binary, python, row, also=()):
    argv = [binary, "-o", "server.workers=1", "-o", "log.loglevel=error", "-o", "app.pythonpath=" + APPS, "-b", "127.0.0.1:{port}",
            "-o", "app.python=" + python]
    if row.loop:
        argv += ["-o", "app.loop=" + row.loop]
    for setting in also:
        argv += ["-o", setting]
    return Peer(name, [*argv, *(["-o", "app.threads=%d" % row.threads] if row.threads else []), row.app], env=row.env)


def loop_peers(python, row):
    """On the loop of the row: uvicorn, hypercorn with trio, gunicorn with gevent."""
    env = {"PYTHONPATH": APPS, **row.env}
    if row.loop == "gevent":
        if servers.has_module(python, "gunicorn", "gevent"):
            yield Peer("gunicorn gevent", [python, "-m", "gunicorn", row.app, "-b", "127.0.0.1:{port}", "-w", "1", "--log-level", "error",
                                           "-k", "gevent", "--worker-connections", str(row.threads)], env=env)
    elif row.loop == "trio" and servers.has_module(python, "hypercorn"):
        yield Peer("hypercorn", [python, "-m", "hypercorn", "-k", "trio", "-w", "1", "-b", "127.0.0.1:{port}", row.app], env=env)
    elif row.loop != "trio" and servers.has_module(python, "uvicorn"):
        yield Peer("uvicorn", [python, "-m", "uvicorn", row.app, "--port", "{port}", "--no-access-log", "--log-level", "error",
                               "--loop", row.loop, "--http", "httptools"], env=env)


def asgi_peers(python, row):
    env = {"PYTHONPATH": APPS, **row.env}
    port = ["--port", "{port}"]
    has = {name: servers.has_module(python, name) for name in ("uvicorn", "uvloop", "httptools", "granian")}
    if has["uvicorn"]:
        fast = ["--loop", "uvloop", "--http", "httptools"] if has["uvloop"] and has["httptools"] else []
        yield Peer("uvicorn", [python, "-m", "uvicorn", row.app, *port, "--no-access-log", "--log-level", "error", *fast], env=env)
    if has["granian"]:
        yield Peer("granian", [python, "-m", "granian", "--interface", "asgi", *port, "--workers", "1", "--no-log",
                               "--ws" if row.kind == "websocket" else "--no-ws", "--loop", "uvloop" if has["uvloop"] else "asyncio",
                               row.app], env=env)
    yield from programs(python, row, "peregrine", "h2corn", "m0serve")


# None of them writes an access log, refuses the uploads of the rows or closes a connection after some requests.
COMMANDS = {
    "peregrine": ["--log-level", "error", "--workers", "1", "--max-body", str(128 << 20), "--port", "{port}"],
    "h2corn": ["--no-access-log", "--workers", "1", "--bind", "127.0.0.1:{port}"],
    "m0serve": ["--host", "127.0.0.1", "--port", "{port}", "--workers", "1", "--max-body", "128m", "--max-keepalive-requests", "0"],
}
THREADS_OPTION = {"peregrine": "--wsgi-threads", "m0serve": "--blocking-threads"}


def programs(python, row, *names):
    for name in names:
        program = os.path.join(os.path.dirname(python), name)
        if os.path.exists(program):
            threads = [THREADS_OPTION[name], str(row.threads)] if row.threads else []
            yield Peer(name, [program, *COMMANDS[name], *threads, row.app], env={"PYTHONPATH": APPS, **row.env})


def wsgi_peers(python, row):
    env = {"PYTHONPATH": APPS, **row.env}
    if servers.has_module(python, "gunicorn"):
        yield Peer("gunicorn gthread", [python, "-m", "gunicorn", row.app, "-b", "127.0.0.1:{port}", "-w", "1", "--log-level",
                                        "error", "-k", "gthread", "--threads", str(row.threads)], env=env)
    if servers.has_module(python, "granian"):
        yield Peer("granian", [python, "-m", "granian", "--interface", "wsgi", "--port", "{port}", "--workers", "1", "--no-ws",
                               "--no-log", "--blocking-threads", str(row.threads), row.app], env=env)
    yield from programs(python, row, "peregrine", "m0serve")
    if servers.has_module(python, "fastwsgi"):
        module, name = row.app.split(":")
        code = "import fastwsgi as s, %s as m; s.run(m.%s, host='127.0.0.1', port={port}, loglevel=0)" % (module, name)
        yield Peer("fastwsgi", [python, "-c", code], env=env)


def peers_of(row, args):
    yield tine_peer("tine", os.path.abspath(args.tine), args.python, row)
    if row.also:
        yield tine_peer(TINE_ALSO, os.path.abspath(args.tine), args.python, row, row.also)
    if args.before:
        yield tine_peer("tine before", os.path.abspath(args.before), args.python, row)
    yield from (loop_peers if row.loop else wsgi_peers if row.threads else asgi_peers)(args.python, row)


def switches(peer):
    n = 0
    for pid in peer.pids():
        try:
            for task in os.listdir("/proc/%d/task" % pid):
                with open("/proc/%d/task/%s/status" % (pid, task)) as f:
                    n += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))
        except OSError:  # one that has ended
            pass
    return n


def kernel_seconds(peer):
    ticks = 0
    for pid in peer.pids():
        with open("/proc/%d/stat" % pid) as f:
            ticks += int(f.read().rpartition(")")[2].split()[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def script(folder, row):
    """A file of wrk's that posts."""
    path = os.path.join(folder, "post.lua")
    with open(path, "w") as f:
        f.write('wrk.method = "POST"\nwrk.headers["Content-Type"] = "%s"\nwrk.body = [==[\n%s]==]\n'
                % (row.post[0], row.post[1].replace("\r\n", "\n")))
        if "\r\n" in row.post[1]:
            f.write('wrk.body = wrk.body:gsub("\\n", "\\r\\n")\n')
    return path


def websocket(wsload, peer, seconds, log):
    kernel, before = kernel_seconds(peer), switches(peer)
    run = wsbench.load(wsload, peer, "echo64", seconds, log)
    if run:
        n = run["rps"] * seconds
        run["kernel"] = (kernel_seconds(peer) - kernel) * 1e6 / n / run["cpu_us"] if run["cpu_us"] else 0
        run["switches"] = (switches(peer) - before) / n
    return run


def load(tools, peer, row, seconds, folder, log):
    if row.kind == "websocket":
        return websocket(tools.wsload, peer, seconds, log)
    if row.kind == "held":
        return held.load(peer, row.connections, log)
    argv = [tools.wrk, "-t1", "-c%d" % row.connections, "-d%ds" % seconds, "--latency", "--timeout", "20s"]
    argv += ["-s", script(folder, row)] if row.post else []
    cpu, kernel, before = peer.cpu_seconds(), kernel_seconds(peer), switches(peer)
    out = subprocess.run([*argv, "http://127.0.0.1:%d%s" % (peer.port, row.path)], capture_output=True, text=True).stdout
    cpu, kernel, after = peer.cpu_seconds() - cpu, kernel_seconds(peer) - kernel, switches(peer)
    requests = re.search(r"(\d+) requests in", out)
    if not peer.alive() or not requests or not int(requests.group(1)) or "Non-2xx" in out:
        return None
    n = int(requests.group(1))
    return {
        "cpu_us": cpu * 1e6 / n,
        "kernel": kernel / cpu if cpu else 0,
        "switches": (after - before) / n,
        "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
        "p50_ms": bench.milliseconds(re.search(r"^\s+50%\s+(\S+)", out, re.M).group(1)),
        "p99_ms": bench.milliseconds(re.search(r"^\s+99%\s+(\S+)", out, re.M).group(1)),
    }


def alone(python, row, seconds, folder):
    """CPU of the application without a server."""
    kind, body = row.post or (row.kind, "")
    name = os.path.join(folder, "body")
    with open(name, "w", newline="") as f:
        f.write(body)
    argv = [python, os.path.join(servers.HERE, "real_alone.py"), row.app, row.path, str(seconds), str(row.connections), kind, name]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": APPS, **row.env}, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    cpu, kernel, waits, rps = map(float, done.stdout.split())
    return {"cpu_us": cpu, "kernel": kernel, "switches": waits, "rps": rps, "p50_ms": 0, "p99_ms": 0}


class Services(contextlib.ExitStack):
    """What rows need beside the server, each started for the first row that does, until the end."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.env = folder, {}

    def start(self, name):
        if name == "redis":
            return {"BENCH_REDIS": str(self.enter_context(services.redis_server(self.folder)))}
        return {"BENCH_POSTGRES": self.enter_context(services.postgres_server(self.folder, TABLE))}

    def environment(self, name):
        """None: it is not installed."""
        if not name:
            return {}
        if not {"redis": services.has_redis, "postgres": services.has_postgres}[name]():
            return None
        if name not in self.env:
            self.env[name] = self.start(name)
        return self.env[name]


TABLE = "create table things (id integer primary key, name varchar(100));\ninsert into things values (1, 'a thing');\n"


def not_importable(python, row):
    """Which of its packages are missing; "": none."""
    argv = [python, "-c", "import " + row.app.partition(":")[0]]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": APPS, **row.env}, capture_output=True, text=True)
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def measure_row(row, args, folder, log):
    runs = {}
    peers = [p for p in peers_of(row, args) if not args.servers or p.name in args.servers]
    running = []
    try:
        for peer in peers:
            if peer.start(log):
                if row.kind != "held":
                    load(args, peer, row, 1, folder, log)  # imports, caches
                running.append(peer)
            else:
                print("not started:", peer.name, file=sys.stderr)
        for _ in range(args.rounds):
            for peer in running:
                if peer.alive() or bench.revive(peer, log):
                    runs.setdefault(peer.name, []).append(load(args, peer, row, args.seconds, folder, log))
            if row.kind != "held" and (not args.servers or ALONE in args.servers):
                runs.setdefault(ALONE, []).append(alone(args.python, row, args.seconds, folder))
    finally:
        for peer in peers:
            peer.stop()
    return {peer: bench.median([run for run in some if run]) for peer, some in runs.items()}


def print_held(name, by_server):
    for server, m in by_server.items():
        print("%-22s %-20s %s" % (name, server, "%.1f KB each, CPU µs %.1f" % (m["kb_each"], m["cpu_us"]) if m else "failed"))
    print(flush=True)


def print_row(name, by_server):
    if ROWS[name].kind == "held":
        print_held(name, by_server)
        return
    base = by_server.get("tine")
    for server, m in by_server.items():
        if not m:
            print("%-22s %-20s failed" % (name, server))
            continue
        m["to_tine"] = m["cpu_us"] / base["cpu_us"] if base and base["cpu_us"] else None
        print("%-22s %-20s %9.1f %6s %6.0f%% %8.2f %8.0f %8.2f %8.2f"
              % (name, server, m["cpu_us"], "%.2f" % m["to_tine"] if m["to_tine"] else "-", m["kernel"] * 100, m["switches"],
                 m["rps"], m["p50_ms"], m["p99_ms"]))
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tine", default="./tine", help="the binary (default ./tine)")
    parser.add_argument("--wsload", default="tests/bench/wsload", help="the load generator for WebSockets")
    parser.add_argument("--before", help="another build, as \"tine before\"")
    parser.add_argument("--venv", help="virtual environment with the applications' packages and the peers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--rows", type=lambda s: s.split(","), default=list(ROWS), help="only these; a prefix will do")
    parser.add_argument("--servers", type=lambda s: s.split(","), help="only these, by name")
    parser.add_argument("--output", default=".", help="folder for bench-real.json and bench-real.svg")
    args = parser.parse_args()
    args.python = os.path.join(args.venv, "bin", "python3") if args.venv else servers.DEBIAN_PYTHON
    names = [name for name in ROWS if any(name.startswith(row) for row in args.rows)]
    results, args.wrk = {}, servers.find_wrk()
    print("%-22s %-20s %9s %6s %7s %8s %8s %8s %8s"
          % ("application", "server", "CPU µs", "/ tine", "kernel", "switches", "req/s", "p50 ms", "p99 ms"))
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "log"), "w") as log, Services(folder) as beside:
        os.environ["TMPDIR"] = folder  # for what the applications write
        for name in names:
            row = ROWS[name]
            environment = beside.environment(row.service)
            if environment is None:
                print("%-22s skipped: %s is not installed\n" % (name, row.service))
                continue
            row = row._replace(env={**row.env, **environment})
            if why := not_importable(args.python, row):
                print("%-22s skipped: %s\n" % (name, why))
                continue
            results[name] = measure_row(row, args, folder, log)
            print_row(name, results[name])
    real_summary.show(results)
    os.makedirs(args.output, exist_ok=True)
    with open(os.path.join(args.output, "bench-real.json"), "w") as f:
        json.dump({"rows": results, "summary": {name: real_summary.of_row(by) for name, by in results.items()}}, f, indent=1)
    cpu = {row: {server: m and m["cpu_us"] for server, m in by.items()} for row, by in results.items()}
    shown = list(dict.fromkeys(server for by in results.values() for server in by))
    with open(os.path.join(args.output, "bench-real.svg"), "w") as f:
        f.write(plot.svg(list(cpu), shown, cpu))


if __name__ == "__main__":
    main()
