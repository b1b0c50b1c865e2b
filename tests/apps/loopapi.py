# SPDX-License-Identifier: BSD-3-Clause
"""Uses of the event loop's API from inside a request, one each, chosen by path; each answers "ok" or raises."""

import asyncio
import contextvars
import os
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time

from apps.kit import as_json, dispatch, query, text

VAR = contextvars.ContextVar("VAR", default="unset")
PYTHON = "/usr/bin/python3"


async def subprocess_exec(scope, receive, send):
    p = await asyncio.create_subprocess_exec(PYTHON, "-c", "print(input().upper())", stdin=asyncio.subprocess.PIPE,
                                             stdout=asyncio.subprocess.PIPE)
    out, _ = await p.communicate(b"from the child\n")
    assert out == b"FROM THE CHILD\n" and p.returncode == 0, (out, p.returncode)
    await text(send, "ok")


async def subprocess_shell(scope, receive, send):
    p = await asyncio.create_subprocess_shell("exit 7")
    assert await p.wait() == 7
    await text(send, "ok")


async def subprocess_kill(scope, receive, send):
    p = await asyncio.create_subprocess_exec("/bin/sleep", "1000")
    p.kill()
    assert await p.wait() == -signal.SIGKILL
    await text(send, "ok")


async def many_subprocesses(scope, receive, send):
    async def one(n):
        p = await asyncio.create_subprocess_exec("/bin/sh", "-c", f"exit {n}")
        return await p.wait()
    assert await asyncio.gather(*map(one, range(10))) == list(range(10))
    await text(send, "ok")


async def to_thread(scope, receive, send):
    token = VAR.set("mine")
    name, value = await asyncio.to_thread(lambda: (threading.current_thread().name, VAR.get()))
    VAR.reset(token)
    assert name != threading.current_thread().name and value == "mine"
    await text(send, "ok")


async def executor(scope, receive, send):
    loop = asyncio.get_running_loop()
    assert await asyncio.gather(*(loop.run_in_executor(None, pow, 2, n) for n in range(20))) == [2 ** n for n in range(20)]
    await text(send, "ok")


async def threadsafe(scope, receive, send):
    loop, future = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    threading.Thread(target=lambda: loop.call_soon_threadsafe(future.set_result, 5)).start()
    assert await future == 5

    async def coroutine():
        return asyncio.get_running_loop() is loop
    results = []
    thread = threading.Thread(target=lambda: results.append(asyncio.run_coroutine_threadsafe(coroutine(), loop).result()))
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)
    assert results == [True]
    await text(send, "ok")


async def timers(scope, receive, send):
    loop, order, done = asyncio.get_running_loop(), [], asyncio.Event()
    loop.call_later(0.03, order.append, 3)
    loop.call_later(0.01, order.append, 1)
    loop.call_at(loop.time() + 0.02, order.append, 2)
    cancelled = loop.call_later(0.015, order.append, "never")
    cancelled.cancel()
    loop.call_soon(order.append, 0)
    loop.call_later(0.04, done.set)
    before = loop.time()
    await done.wait()
    assert order == [0, 1, 2, 3] and loop.time() - before >= 0.04 and cancelled.cancelled(), order
    await text(send, "ok")


async def timeouts(scope, receive, send):
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        pass
    else:
        raise AssertionError("asyncio.timeout did not fire")
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        await text(send, "ok")


async def task_group(scope, receive, send):
    results = []

    async def work(n):
        await asyncio.sleep(0.001 * (3 - n))
        results.append(n)
    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(work(n))
    assert sorted(results) == [0, 1, 2]
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.Event().wait())
            raise ValueError("inside")
    except ExceptionGroup as e:
        assert isinstance(e.exceptions[0], ValueError)
        await text(send, "ok")


async def current_task(scope, receive, send):
    task = asyncio.current_task()
    assert isinstance(task, asyncio.Task) and task in asyncio.all_tasks() and task is asyncio.current_task()
    await asyncio.sleep(0)
    assert task is asyncio.current_task() and not task.done()
    await text(send, "ok")


async def cancel_self(scope, receive, send):
    task = asyncio.current_task()
    asyncio.get_running_loop().call_soon(task.cancel, "by myself")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as e:
        assert e.args == ("by myself",) and task.cancelling() == 1
        task.uncancel()
        await text(send, "ok")


async def context(scope, receive, send):
    """Each request has a context of its own; tasks inherit a copy."""
    assert VAR.get() == "unset"
    VAR.set("request")

    async def child():
        assert VAR.get() == "request"
        VAR.set("child")
    await asyncio.ensure_future(child())
    await asyncio.sleep(0)
    assert VAR.get() == "request"
    await text(send, "ok")


async def tcp(scope, receive, send):
    """A server and a client of asyncio's own, inside the request."""
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.read() == b"HELLO\n"
        writer.close()
        await writer.wait_closed()
    await text(send, "ok")


class Peer(asyncio.Protocol):
    def __init__(self, until):
        self.until, self.seen, self.lost = until, 0, asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.seen += len(data)
        if self.seen >= self.until:
            self.transport.abort()

    def connection_lost(self, exc):
        self.lost.set_result(exc)


class BufferedPeer(asyncio.BufferedProtocol, Peer):
    def get_buffer(self, hint):
        return bytearray(1000)

    def buffer_updated(self, n):
        self.data_received(bytes(n))


async def transports(scope, receive, send):
    """Writes that have to wait, to both kinds of protocols, which break the connection off."""
    loop = asyncio.get_running_loop()
    for kind in Peer, BufferedPeer:
        ours, theirs = socket.socketpair()
        writer, wrote = await loop.create_connection(lambda: Peer(1), sock=ours)
        reader, read = await loop.create_connection(lambda: kind(1000000), sock=theirs)
        changing = bytearray(300000)
        writer.writelines([b"x" * 400000, memoryview(changing)])
        writer.write(changing)
        assert writer.get_write_buffer_size()
        writer.write(b"x" * 100000)
        assert await read.lost is None and reader.is_closing()
        assert isinstance(await wrote.lost, OSError | None)
        writer.write(b"lost")
        writer.abort()
    await text(send, "ok")


async def unix(scope, receive, send):
    async def serve(reader, writer):
        writer.write(await reader.readline())
        writer.close()
    with tempfile.TemporaryDirectory() as folder:
        server = await asyncio.start_unix_server(serve, folder + "/s")
        async with server:
            reader, writer = await asyncio.open_unix_connection(folder + "/s")
            writer.write(b"hello\n")
            assert await reader.read() == b"hello\n"
            writer.close()
    await text(send, "ok")


async def tls(scope, receive, send):
    """TLS server and client with the certificate that the test made, start_tls included."""
    folder = os.environ["TINE_TEST_TLS"]
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
    client_side = ssl.create_default_context(cafile=folder + "/cert.pem")

    async def serve(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_side)
    async with server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port, ssl=client_side, server_hostname="localhost")
        assert writer.get_extra_info("ssl_object").version().startswith("TLS")
        writer.write(b"over tls\n")
        assert await reader.read() == b"over tls\n"
        writer.close()
        reader, writer = await asyncio.open_connection(host, port)
        await writer.start_tls(client_side, server_hostname="localhost")
        writer.write(b"upgraded\n")
        assert await reader.readline() == b"upgraded\n"
        writer.close()
    await text(send, "ok")


async def datagrams(scope, receive, send):
    loop, got = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, addr):
            self.transport.sendto(data.upper(), addr)

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data, addr):
            got.set_result(data)
    server, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    client, _ = await loop.create_datagram_endpoint(Client, remote_addr=server.get_extra_info("sockname"))
    client.sendto(b"ping")
    assert await got == b"PING"
    client.close()
    server.close()
    await text(send, "ok")


async def sock_calls(scope, receive, send):
    loop = asyncio.get_running_loop()
    a, b = socket.socketpair()
    with a, b:
        a.setblocking(False)
        b.setblocking(False)
        waiting = asyncio.ensure_future(loop.sock_recv(b, 1 << 20))
        await asyncio.sleep(0)
        await loop.sock_sendall(a, b"x" * 100)
        assert await waiting == b"x" * 100
        sender = asyncio.ensure_future(loop.sock_sendall(a, b"y" * (4 << 20)))
        n = 0
        while n < 4 << 20:
            n += len(await loop.sock_recv(b, 1 << 20))
        await sender
    await text(send, "ok")


async def readers(scope, receive, send):
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    r, w = os.pipe()
    try:
        loop.add_reader(r, event.set)
        loop.add_writer(w, lambda: (loop.remove_writer(w), os.write(w, b"x")))
        await event.wait()
        assert loop.remove_reader(r) and not loop.remove_reader(r)
        assert os.read(r, 10) == b"x"
    finally:
        os.close(r)
        os.close(w)
    await text(send, "ok")


async def dns(scope, receive, send):
    found = await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert {f[4][0] for f in found} & {"127.0.0.1", "::1"}
    await text(send, "ok")


async def async_generator(scope, receive, send):
    async def numbers():
        try:
            for i in range(10):
                yield i
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)
    async for i in numbers():
        if i == 3:
            break
    assert [i async for i in numbers()] == list(range(10))
    await text(send, "ok")


async def queue_and_locks(scope, receive, send):
    queue, lock, seen = asyncio.Queue(2), asyncio.Lock(), []

    async def produce():
        for i in range(10):
            await queue.put(i)
        await queue.put(None)

    async def consume():
        while (item := await queue.get()) is not None:
            async with lock:
                seen.append(item)
    await asyncio.gather(produce(), consume())
    assert seen == list(range(10))
    await text(send, "ok")


async def exception_handler(scope, receive, send):
    loop, seen = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda loop, context: seen.append(context["exception"]))
    try:
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert isinstance(seen[0], ZeroDivisionError)
    await text(send, "ok")


async def run_in_thread(scope, receive, send):
    """asyncio.run in another thread: a loop beside ours."""
    async def inner():
        await asyncio.sleep(0.001)
        return type(asyncio.get_running_loop()).__name__
    assert await asyncio.to_thread(asyncio.run, inner())
    await text(send, "ok")


async def blocked(scope, receive, send):
    """Holds the loop for a moment: others wait and are then served."""
    time.sleep(0.2)
    await text(send, "ok")


async def loop_type(scope, receive, send):
    loop = asyncio.get_running_loop()
    await as_json(send, {"running": loop.is_running(), "closed": loop.is_closed(), "debug": loop.get_debug(),
                         "abstract": isinstance(loop, asyncio.AbstractEventLoop), "same": asyncio.get_event_loop() is loop,
                         "argv": sys.argv[:1], "main": query(scope)})


async def parallel(scope, receive, send):
    """Many tasks that sleep, wait and cancel each other."""
    async def work(n):
        await asyncio.sleep(0.0001 * (n % 7))
        return n
    tasks = [asyncio.ensure_future(work(n)) for n in range(1000)]
    for t in tasks[::3]:
        t.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(r, asyncio.CancelledError) for r in results) == len(tasks[::3])
    await text(send, "ok")


app = dispatch(subprocess_exec, subprocess_shell, subprocess_kill, many_subprocesses, to_thread, executor, threadsafe, timers,
               timeouts, task_group, current_task, cancel_self, context, tcp, transports, unix, tls, datagrams, sock_calls, readers,
               dns, async_generator, queue_and_locks, exception_handler, run_in_thread, blocked, loop_type, parallel)
