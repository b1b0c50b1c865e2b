# SPDX-License-Identifier: BSD-3-Clause
"""The public API of an asyncio loop on the worker's loop: networks, TLS, processes, pipes, executors, generators."""

import asyncio
import concurrent.futures
import gc
import logging
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

from loop_check import Skip, case, run_all

loop = globals()['loop']
LOCAL = '127.0.0.1'


def certificate(folder):
    cert, key = os.path.join(folder, 'cert.pem'), os.path.join(folder, 'key.pem')
    command = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
               '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Skip(f'openssl: {error}') from None
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(cert, key)
    return server, ssl.create_default_context(cafile=cert)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(reader, writer, data):
    writer.write(data)
    if writer.can_write_eof():
        writer.write_eof()
        answer = await reader.read()
    else:
        answer = await reader.readexactly(len(data))
    writer.close()
    await writer.wait_closed()
    return answer


@case
async def tcp_streams():
    server = await asyncio.start_server(echo, LOCAL, 0)
    port = server.sockets[0].getsockname()[1]
    data = os.urandom(1 << 20)
    clients = [ask(*await asyncio.open_connection(LOCAL, port), data) for _ in range(4)]
    assert await asyncio.gather(*clients) == [data] * 4
    server.close()
    await server.wait_closed()


@case
async def unix_streams():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 's')
        server = await asyncio.start_unix_server(echo, path)
        assert await ask(*await asyncio.open_unix_connection(path), b'hello') == b'hello'
        server.close()
        await server.wait_closed()


@case
async def tls_streams():
    with tempfile.TemporaryDirectory() as folder:
        for_server, for_client = certificate(folder)
        server = await asyncio.start_server(echo, LOCAL, 0, ssl=for_server)
        port = server.sockets[0].getsockname()[1]
        data = os.urandom(300000)
        streams = await asyncio.open_connection(LOCAL, port, ssl=for_client, server_hostname='localhost')
        assert await ask(*streams, data) == data
        server.close()
        await server.wait_closed()


@case
async def start_tls():
    with tempfile.TemporaryDirectory() as folder:
        for_server, for_client = certificate(folder)

        async def serve(reader, writer):
            writer.write(await reader.readline())
            await writer.drain()
            await writer.start_tls(for_server)
            await echo(reader, writer)

        server = await asyncio.start_server(serve, LOCAL, 0)
        reader, writer = await asyncio.open_connection(LOCAL, server.sockets[0].getsockname()[1])
        if not hasattr(writer, 'start_tls'):
            raise Skip('no StreamWriter.start_tls()')
        writer.write(b'plain\n')
        assert await reader.readline() == b'plain\n'
        await writer.start_tls(for_client, server_hostname='localhost')
        assert await ask(reader, writer, b'secret') == b'secret'
        server.close()
        await server.wait_closed()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
        self.first = loop.create_future()

    def datagram_received(self, data, address):
        if not self.first.done():
            self.first.set_result((data, address))


@case
async def datagrams():
    t1, p1 = await loop.create_datagram_endpoint(Datagrams, local_addr=(LOCAL, 0))
    t2, p2 = await loop.create_datagram_endpoint(Datagrams, remote_addr=t1.get_extra_info('sockname'))
    t2.sendto(b'there')
    data, address = await p1.first
    assert data == b'there'
    t1.sendto(b'back', address)
    assert (await p2.first)[0] == b'back'
    t1.close()
    t2.close()


@case
async def bare_sockets():
    listener = socket.create_server((LOCAL, 0))
    listener.setblocking(False)
    client = socket.socket()
    client.setblocking(False)
    accepted = asyncio.ensure_future(loop.sock_accept(listener))
    await loop.sock_connect(client, listener.getsockname())
    server, _ = await accepted
    server.setblocking(False)
    data = os.urandom(1 << 20)
    sending = asyncio.ensure_future(loop.sock_sendall(client, data))
    got = bytearray()
    while len(got) < len(data):
        got += await loop.sock_recv(server, 65536)
    await sending
    assert got == data
    waiting = asyncio.ensure_future(loop.sock_recv(server, 10))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    client.send(b'x')
    buffer = bytearray(10)
    assert await loop.sock_recv_into(server, buffer) == 1 and buffer[:1] == b'x'
    for s in listener, client, server:
        s.close()


@case
async def sendfile():
    server = await asyncio.start_server(echo, LOCAL, 0)
    reader, writer = await asyncio.open_connection(LOCAL, server.sockets[0].getsockname()[1])
    with tempfile.TemporaryFile() as f:
        data = os.urandom(500000)
        f.write(data)
        f.flush()
        assert await loop.sendfile(writer.transport, f) == len(data)
    assert await reader.readexactly(len(data)) == data
    assert 'Transport' in repr(writer.transport)
    writer.close()
    await writer.wait_closed()
    server.close()


@case
async def getaddrinfo():
    assert await loop.getaddrinfo(LOCAL, 80, type=socket.SOCK_STREAM)
    assert (await loop.getnameinfo((LOCAL, 80), socket.NI_NUMERICHOST))[0] == LOCAL


@case
async def numeric_addresses():
    """As socket.getaddrinfo() has them, without a thread and without asking anybody; other names go to one."""
    loop, asked = asyncio.get_running_loop(), []
    real = loop.run_in_executor
    loop.run_in_executor = lambda executor, call, *args: asked.append(args[:2]) or real(executor, call, *args)
    try:
        for host in "127.0.0.1", "::1", "2001:db8::7", "0.0.0.0":
            for port in 80, "443", None, 0:
                for more in {}, {"type": socket.SOCK_STREAM}, {"flags": socket.AI_PASSIVE}, {"flags": socket.AI_CANONNAME}:
                    expected = socket.getaddrinfo(host, port, 0, more.get("type", 0), 0, more.get("flags", 0))
                    assert await loop.getaddrinfo(host, port, **more) == expected, (host, port, more)
        assert not asked
        for host, port, family in ("127.0.0.1", 80, socket.AF_INET6), ("::1", 80, socket.AF_INET):
            try:
                await loop.getaddrinfo(host, port, family=family)
                raise AssertionError("an address of another family")
            except socket.gaierror as error:
                assert error.errno == socket.EAI_ADDRFAMILY, error
        assert not asked
        for host, port in ("localhost", 80), ("127.0.0.1", "http"), (b"127.0.0.1", 80), ("127.1", 80), (None, 80):
            assert await loop.getaddrinfo(host, port) == socket.getaddrinfo(host, port)
        assert len(asked) == 5
    finally:
        del loop.run_in_executor


@case
async def subprocesses():
    process = await asyncio.create_subprocess_exec('cat', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    out, _ = await process.communicate(b'x' * 200000)
    assert len(out) == 200000 and process.returncode == 0
    process = await asyncio.create_subprocess_shell('exit 7')
    assert await process.wait() == 7
    process = await asyncio.create_subprocess_exec('cat', stdin=subprocess.PIPE)
    process.terminate()
    assert await process.wait() == -15


@case
async def child_watchers():
    names = [n for n in ('SafeChildWatcher', 'PidfdChildWatcher', 'ThreadedChildWatcher') if hasattr(asyncio, n)]
    if not names or sys.version_info >= (3, 12):
        raise Skip('child watchers are deprecated')
    for name in names:
        watcher = getattr(asyncio, name)()
        watcher.attach_loop(loop)
        asyncio.set_child_watcher(watcher)
        process = await asyncio.create_subprocess_shell('exit 3')
        assert await process.wait() == 3, name
        asyncio.set_child_watcher(None)
        watcher.close()


@case
async def pipes():
    r, w = os.pipe()
    reader = asyncio.StreamReader()
    read_transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(r, 'rb'))
    write_transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(w, 'wb'))
    write_transport.write(b'through\n')
    assert await reader.readline() == b'through\n'
    write_transport.close()
    assert await reader.read() == b''
    read_transport.close()


@case
async def executors():
    main = threading.get_ident()
    assert await asyncio.to_thread(threading.get_ident) != main
    assert await asyncio.gather(*(loop.run_in_executor(None, abs, -i) for i in range(100))) == list(range(100))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert await loop.run_in_executor(pool, abs, -4) == 4


@case
async def processes():
    import multiprocessing
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        assert await loop.run_in_executor(pool, abs, -4) == 4


@case
async def timeouts_and_groups():
    try:
        await asyncio.wait_for(asyncio.sleep(1000), 0.01)
        raise AssertionError('no time-out')
    except asyncio.TimeoutError:
        pass
    async with asyncio.timeout(1000):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, i)) for i in range(100)]
    assert [t.result() for t in tasks] == list(range(100))


@case
async def task_factories():
    made = []

    def factory(the_loop, coro, **kwargs):
        made.append(coro)
        return asyncio.Task(coro, loop=the_loop, **kwargs)

    loop.set_task_factory(factory)
    assert loop.get_task_factory() is factory
    assert await loop.create_task(asyncio.sleep(0, 5)) == 5 and len(made) == 1
    loop.set_task_factory(None)
    assert loop.get_task_factory() is None


@case
async def generators_are_closed():
    closed = asyncio.Event()

    async def numbers():
        try:
            yield 1
            yield 2
        finally:
            closed.set()

    async for _ in numbers():
        break
    gc.collect()
    await closed.wait()


@case
async def slow_callbacks_are_named():
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger('asyncio')
    logger.addHandler(handler)
    logger.propagate = False
    before, loop.slow_callback_duration = loop.slow_callback_duration, 0
    loop.set_debug(True)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    loop.set_debug(False)
    loop.slow_callback_duration = before
    logger.removeHandler(handler)
    logger.propagate = True
    assert any(r.getMessage().startswith('Executing <') for r in records)


@case
async def tasks_in_debug_mode_know_their_source():
    loop.set_debug(True)
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    assert any(frame.name == 'tasks_in_debug_mode_know_their_source' for frame in task._source_traceback)


@case
def the_end():
    """Last: what a worker does when it ends, and that the loop is closed then."""
    ended = []

    async def forever():
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append('task')

    async def generator():
        try:
            yield
        finally:
            ended.append('generator')

    held = generator()

    async def start():
        await held.__anext__()
        await loop.run_in_executor(None, abs, 1)
        asyncio.ensure_future(forever())
        await asyncio.sleep(0)

    loop.run_until_complete(start())
    loop._shutdown(5)
    assert ended == ['task', 'generator'] and loop.is_closed()


run_all(loop)
