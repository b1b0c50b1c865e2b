#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measures what applications' own connections cost on Tine's event loop, on uvloop and on asyncio, in one run.

Each row is an operation that a handler awaits (a GET from Redis, an echo over TLS); its figure is the CPU time in µs of
the loop's thread for one, the least of the rounds, and beside it the ratio to uvloop. Tine's loop is measured inside
a request of a worker, the others in asyncio.Runner of the same Python. The other ends run in a process of their own.
Nothing here passes or fails.

    make bench-loop BENCH_ARGS='--venv DIR [--rounds N] [--rows NAME,NAME] [--json FILE]'

DIR is a virtual environment with uvloop and, for their rows, redis, asyncpg and aiohttp; redis-server and PostgreSQL are
Debian's (redis-server, postgresql). What is missing is left out.
"""
import argparse
import asyncio
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

import services
from services import LOCAL, free_port, postgres_server, process, redis_server, wait_for_port

HERE = os.path.dirname(os.path.abspath(__file__))
LOOPS = ("tine", "uvloop", "asyncio")
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"


# --- the rows: each yields the operation, and cleans up afterwards ---

class Client(asyncio.Protocol):
    """Sends something and tells who waits when all of it has come back."""

    def __init__(self):
        self.waiter, self.missing = None, 0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.missing -= len(data)
        if not self.missing:
            self.waiter.set_result(None)

    def ask(self, data):
        self.waiter = asyncio.get_running_loop().create_future()
        self.missing = len(data)
        self.transport.write(data)
        return self.waiter


class BufferedClient(asyncio.BufferedProtocol):
    def __init__(self):
        self.buffer = bytearray(65536)

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, hint):
        return self.buffer

    def buffer_updated(self, n):
        self.waiter.set_result(None)

    def ask(self, data):
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return self.waiter


@contextlib.asynccontextmanager
async def protocol_row(factory, size, path, **tls):
    loop = asyncio.get_running_loop()
    if isinstance(path, str):
        transport, client = await loop.create_unix_connection(factory, path)
    else:
        transport, client = await loop.create_connection(factory, LOCAL, path, **tls)
    data = b"x" * size
    try:
        yield lambda: client.ask(data)
    finally:
        transport.close()


def trusting():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def protocol_echo(ends):
    return protocol_row(Client, 64, ends["echo"])


def protocol_64k(ends):
    return protocol_row(Client, 65536, ends["echo"])


def unix_echo(ends):
    return protocol_row(Client, 64, ends["unix"])


def buffered_echo(ends):
    return protocol_row(BufferedClient, 64, ends["echo"])


def tls_echo(ends):
    return protocol_row(Client, 64, ends["tls"], ssl=trusting())


@contextlib.asynccontextmanager
async def streams_echo(ends):
    reader, writer = await asyncio.open_connection(LOCAL, ends["echo"])
    data = b"x" * 64

    async def echo():
        writer.write(data)
        await reader.readexactly(64)
    try:
        yield echo
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def connect(ends):
    loop = asyncio.get_running_loop()

    async def once():
        transport, _ = await loop.create_connection(asyncio.Protocol, LOCAL, ends["echo"])
        transport.abort()
    yield once


@contextlib.asynccontextmanager
async def serve(ends):
    """A connection that a server of the loop takes, and its one answer."""
    class Once(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(b"x")
            transport.close()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Once, LOCAL, 0)
    address = server.sockets[0].getsockname()

    async def once():
        with socket.socket() as s:
            s.setblocking(False)
            await loop.sock_connect(s, address)
            await loop.sock_recv(s, 1)
    try:
        yield once
    finally:
        server.close()


@contextlib.asynccontextmanager
async def sock_echo(ends):
    loop = asyncio.get_running_loop()
    with socket.create_connection((LOCAL, ends["echo"])) as s:
        s.setblocking(False)

        async def echo():
            await loop.sock_sendall(s, b"x" * 64)
            await loop.sock_recv(s, 64)
        yield echo


@contextlib.asynccontextmanager
async def numeric_getaddrinfo(ends):
    loop = asyncio.get_running_loop()
    yield lambda: loop.getaddrinfo(LOCAL, 80, type=socket.SOCK_STREAM)


@contextlib.asynccontextmanager
async def datagram_echo(ends):
    loop = asyncio.get_running_loop()

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            self.waiter.set_result(None)

    transport, client = await loop.create_datagram_endpoint(Datagrams, remote_addr=(LOCAL, ends["datagram"]))

    def ask():
        client.waiter = loop.create_future()
        transport.sendto(b"x" * 64)
        return client.waiter
    try:
        yield ask
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def pipe_echo(ends):
    cat = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    async def echo():
        cat.stdin.write(b"x" * 64)
        await cat.stdout.readexactly(64)
    try:
        yield echo
    finally:
        cat.stdin.close()
        await cat.wait()


@contextlib.asynccontextmanager
async def redis_get(ends):
    import redis.asyncio
    async with redis.asyncio.Redis(port=ends["redis"]) as client:
        await client.set("k", "v" * 100)
        yield lambda: client.get("k")


@contextlib.asynccontextmanager
async def postgres(ends, operation):
    import asyncpg
    connection = await asyncpg.connect(ends["postgres"])
    try:
        yield lambda: operation(connection)
    finally:
        await connection.close()


def asyncpg_select_1(ends):
    return postgres(ends, lambda c: c.fetchval("select 1"))


def asyncpg_100_rows(ends):
    return postgres(ends, lambda c: c.fetch("select i, i::text from generate_series(1, 100) i"))


@contextlib.asynccontextmanager
async def aiohttp_get(ends, scheme="http"):
    import aiohttp
    async with aiohttp.ClientSession() as session:
        async def get():
            async with session.get("%s://%s:%d/" % (scheme, LOCAL, ends[scheme]), ssl=False) as answer:
                await answer.read()
        yield get


def aiohttp_get_tls(ends):
    return aiohttp_get(ends, "https")


ROWS = {  # name: (what it needs, operations in a round, the row)
    "redis GET": ("redis", 3000, redis_get),
    "asyncpg SELECT 1": ("postgres", 3000, asyncpg_select_1),
    "asyncpg 100 rows": ("postgres", 1500, asyncpg_100_rows),
    "protocol echo": ("echo", 10000, protocol_echo),
    "protocol echo unix": ("unix", 10000, unix_echo),
    "protocol echo 64 KiB": ("echo", 2000, protocol_64k),
    "buffered echo": ("echo", 10000, buffered_echo),
    "streams echo": ("echo", 10000, streams_echo),
    "aiohttp GET": ("http", 1500, aiohttp_get),
    "TLS echo": ("tls", 6000, tls_echo),
    "aiohttp GET over TLS": ("https", 1500, aiohttp_get_tls),
    "connect": ("echo", 1500, connect),
    "accept": ("echo", 1500, serve),
    "sock_* echo": ("echo", 6000, sock_echo),
    "datagram echo": ("datagram", 6000, datagram_echo),
    "pipe echo": ("echo", 4000, pipe_echo),
    "getaddrinfo 127.0.0.1": ("echo", 3000, numeric_getaddrinfo),
}


async def measure(names, ends):
    """{row: µs}"""
    result = {}
    for name in names:
        _, n, row = ROWS[name]
        async with row(ends) as operation:
            for _ in range(n // 10):
                await operation()
            best = float("inf")
            for _ in range(20):
                before = time.thread_time_ns()
                for _ in range(n // 20):
                    await operation()
                best = min(best, (time.thread_time_ns() - before) / 1e3 / (n // 20))
        result[name] = best
    return result


async def app(scope, receive, send):
    """Tine's side: measures inside a request."""
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    body = await receive()
    result = await measure(*json.loads(body["body"]))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(result).encode()})


def alone(loop, names, ends):
    """The others' side."""
    if loop == "uvloop":
        import uvloop
        factory = uvloop.new_event_loop
    else:
        factory = asyncio.SelectorEventLoop
    with asyncio.Runner(loop_factory=factory) as runner:
        print(json.dumps(runner.run(measure(names, ends))))


# --- the other ends ---

class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


class Http(Echo):
    def data_received(self, data):
        self.transport.write(ANSWER)


def certificate(folder):
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                    "2", "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


async def serve_ends(folder):
    loop = asyncio.get_running_loop()
    context = certificate(folder)
    ends = {"unix": os.path.join(folder, "echo")}
    for name, factory, tls in (("echo", Echo, None), ("tls", Echo, context), ("http", Http, None), ("https", Http, context)):
        server = await loop.create_server(factory, LOCAL, 0, ssl=tls, backlog=1000)
        ends[name] = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(DatagramEcho, local_addr=(LOCAL, 0))
    ends["datagram"] = transport.get_extra_info("sockname")[1]
    await loop.create_unix_server(Echo, ends["unix"])
    print(json.dumps(ends), flush=True)
    await loop.create_future()


def start_ends(stack, folder, python, rows):
    child = stack.enter_context(process([python, __file__, "--ends", folder], stdout=subprocess.PIPE))
    ends = json.loads(child.stdout.readline())
    if services.has_redis() and has(python, "redis"):
        ends["redis"] = stack.enter_context(redis_server(folder))
    if services.has_postgres() and has(python, "asyncpg") and any(ROWS[name][0] == "postgres" for name in rows):
        ends["postgres"] = stack.enter_context(postgres_server(folder))
    if not has(python, "aiohttp"):
        del ends["http"], ends["https"]
    return ends


# --- the run ---

def has(python, module):
    return subprocess.run([python, "-c", "import " + module], capture_output=True, cwd="/").returncode == 0


def ask_tine(port, names, ends):
    request = urllib.request.Request("http://%s:%d/" % (LOCAL, port), json.dumps([names, ends]).encode())
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


@contextlib.contextmanager
def tine(program, venv, folder):
    port = free_port()
    argv = [program, "-w", "1", "-b", "%s:%d" % (LOCAL, port), "-o", "app.venv=" + venv, "-o", "app.interpreter=main",
            "-o", "server.timeout=0", "--chdir", HERE, "loop_io:app"]
    with process(argv, stdout=subprocess.DEVNULL) as child:
        wait_for_port(port, child)
        yield port


def run(args, stack):
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    python = os.path.join(args.venv, "bin/python")
    wanted = args.rows.split(",") if args.rows else list(ROWS)
    ends = start_ends(stack, folder, python, wanted)
    names = [name for name in wanted if ROWS[name][0] in ends]
    best = {name: {} for name in names}
    loops = [loop for loop in LOOPS if loop != "uvloop" or has(python, "uvloop")]
    port = stack.enter_context(tine(args.tine, args.venv, folder))
    for _ in range(args.rounds):
        for name in names:
            for loop in loops:
                if loop == "tine":
                    took = ask_tine(port, [name], ends)
                else:
                    argv = [python, __file__, "--alone", loop, json.dumps([[name], ends])]
                    took = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
                best[name][loop] = min(took[name], best[name].get(loop, float("inf")))
    return best


def show(best):
    print("%-24s %10s %10s %10s %14s %14s" % ("thread CPU, µs", *LOOPS, "tine/uvloop", "tine/asyncio"))
    for name, took in best.items():
        cells = ["%10.2f" % took[loop] if loop in took else "%10s" % "-" for loop in LOOPS]
        ratios = ["%14.2f" % (took["tine"] / took[loop]) if loop in took else "%14s" % "-" for loop in LOOPS[1:]]
        print("%-24s" % name, *cells, *ratios)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tine", default="build/tine")
    parser.add_argument("--venv", default="/usr")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", help="names, separated by commas")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--ends", help=argparse.SUPPRESS)
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ends:
        asyncio.run(serve_ends(args.ends))
    elif args.alone:
        alone(args.alone[0], *json.loads(args.alone[1]))
    else:
        args.tine = os.path.abspath(args.tine)
        with contextlib.ExitStack() as stack:
            best = run(args, stack)
        show(best)
        if args.json:
            with open(args.json, "w") as f:
                json.dump(best, f, indent=1)


if __name__ == "__main__":
    sys.exit(main())
