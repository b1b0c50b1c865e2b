# SPDX-License-Identifier: BSD-3-Clause
"""Datagrams, pipes and what runs in other processes on the worker's loop, compared with asyncio's own."""

import asyncio
import contextvars
import gc
import logging
import os
import socket
import subprocess
import sys
import tempfile
import weakref

import _tine
from loop_check import case, raises, run_all
from loop_differ import add_scenarios, in_thread, plain, scenario, until

loop = globals()['loop']
variable = contextvars.ContextVar('variable', default=None)


class Recorder:
    """Writes down its calls; `reactions` are called with the transport and the arguments after that."""

    def __init__(self, **reactions):
        self.log, self.reactions, self.lost = [], reactions, asyncio.get_running_loop().create_future()

    def note(self, name, *args):
        self.log.append((name, *map(plain, args)))
        if name in self.reactions:
            return self.reactions[name](self, *args)

    def connection_made(self, transport):
        self.transport = transport
        self.note('made')

    def pause_writing(self):
        self.note('pause')

    def resume_writing(self):
        self.note('resume')

    def connection_lost(self, exc):
        self.note('lost', exc)
        self.lost.set_result(None)

    def error_received(self, exc):
        self.note('error', exc)


class Datagrams(Recorder, asyncio.DatagramProtocol):
    def datagram_received(self, data, address):
        assert type(data) is bytes
        self.sender = address
        self.note('data', data, *address[2:])


class Pipe(Recorder, asyncio.Protocol):
    def data_received(self, data):
        assert type(data) is bytes
        self.note('data', data)

    def eof_received(self):
        self.note('eof')


async def endpoint(protocol, **options):
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, **options)
    return transport


def families():
    yield '127.0.0.1', socket.AF_INET
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.bind(('::1', 0))
    except OSError:
        return
    yield '::1', socket.AF_INET6


@scenario
async def echo():
    for host, _ in families():
        server = Datagrams(data=lambda r, data, *rest: r.transport.sendto(data + b'!', r.sender))
        there = await endpoint(server, local_addr=(host, 0))
        address = there.get_extra_info('sockname')
        connected, free = Datagrams(), Datagrams()
        near = await endpoint(connected, remote_addr=address[:2])
        far = await endpoint(free, local_addr=(host, 0))
        sent = [b'one', bytearray(b'two'), memoryview(b'three'), memoryview(b'xfourx')[1:-1], b'x' * 9000]
        for data in sent:
            near.sendto(data)
            await until(lambda: connected.log[-1] == ('data', bytes(data) + b'!', *address[2:]))
        for to in address, address[:2], (*address[:1], address[1]), list(address), None:
            try:
                near.sendto(b'to', to)
            except (ValueError, TypeError) as error:
                yield type(error).__name__
                continue
            await until(lambda: len([e for e in connected.log if e[1:2] == (b'to!',)]) >= 1)
        for data in sent:
            far.sendto(data, address)
            await until(lambda: free.log[-1] == ('data', bytes(data) + b'!', *address[2:]))
            assert free.sender == address and far.get_write_buffer_size() == 0
        far.sendto(data=b'by name', addr=address)
        await until(lambda: free.log[-1][1] == b'by name!')
        yield near.get_extra_info('peername') == address, far.get_extra_info('peername')
        for transport, r in (near, connected), (far, free), (there, server):
            transport.close()
            transport.close()
            yield transport.is_closing(), r.lost.done()
            await r.lost
            yield [e[:2] for e in r.log if e[1:2] != (b'to!',) and e[1:2] != (b'to',)]


@scenario
async def wrong_arguments():
    r = Datagrams()
    transport = await endpoint(r, local_addr=('127.0.0.1', 0))
    for data in 'text', 5, None, [b'x']:
        yield plain(raises(TypeError, transport.sendto, data, ('127.0.0.1', 9)))
    raises(TypeError, transport.sendto)
    raises(TypeError, transport.sendto, b'x', None, 5)
    raises(TypeError, transport.sendto, b'x', address=None)
    yield list(r.log), transport.is_closing()
    transport.close()
    await r.lost
    for address in (('127.0.0.1',), ('127.0.0.1', '9'), ('127.0.0.1', -1), ('127.0.0.1', 65536), ('127.0.0.1', 9, 0, 0), 'text', 5, None,
                    ('127.0.0.1', 2 ** 80), ('127.0.0.1', 9.0), ('1.2.3.4\0', 9), ('::1', 9)):
        r = Datagrams()
        transport = await endpoint(r, local_addr=('127.0.0.1', 0))
        transport.sendto(b'x', address)
        transport.abort()
        await r.lost
        yield address, r.log


@scenario
async def refused_by_nobody():
    """An error that a datagram has caused comes to the protocol, at the next call."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(('127.0.0.1', 0))
        address = s.getsockname()
    r = Datagrams()
    transport = await endpoint(r, remote_addr=address)
    transport.sendto(b'x')
    await until(lambda: r.log[-1][0] == 'error')
    transport.sendto(b'x' * 100000)  # too large
    yield r.log, transport.is_closing()
    transport.close()
    await r.lost


@scenario
async def callbacks_that_fail():
    def fail(r, *args):
        raise ValueError('as asked')
    for reaction in 'data', 'error', 'lost':
        r = Datagrams(**{reaction: fail})
        transport = await endpoint(r, local_addr=('127.0.0.1', 0))
        address = transport.get_extra_info('sockname')
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b'one', address)
            await until(lambda: ('data', b'one') in r.log)
            s.sendto(b'two', address)
            await until(lambda: ('data', b'two') in r.log)
        if reaction == 'error':
            yield plain(raises(ValueError, transport.sendto, b'x' * 100000, address))
        transport.close()
        await until(lambda: r.log[-1][0] == 'lost')
        yield r.log


@scenario
async def closed_inside_a_callback():
    for end in 'close', 'abort':
        r = Datagrams(data=lambda r, *args: getattr(r.transport, end)())
        transport = await endpoint(r, local_addr=('127.0.0.1', 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for _ in range(3):
                s.sendto(b'x', transport.get_extra_info('sockname'))
        await r.lost
        yield r.log


@scenario
async def another_protocol():
    second = Datagrams()
    first = Datagrams(data=lambda r, *args: r.transport.set_protocol(second))
    transport = await endpoint(first, local_addr=('127.0.0.1', 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        for data, r in (b'one', first), (b'two', second):
            s.sendto(data, transport.get_extra_info('sockname'))
            await until(lambda: ('data', data) in r.log)
    yield transport.get_protocol() is second
    transport.close()
    await second.lost
    yield first.log, second.log


@scenario
async def contexts():
    seen = []
    r = Datagrams(data=lambda r, *args: seen.append(variable.get()), lost=lambda r, exc: seen.append(variable.get()))
    variable.set('at its birth')
    transport = await endpoint(r, local_addr=('127.0.0.1', 0))
    variable.set('later')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b'x', transport.get_extra_info('sockname'))
        await until(lambda: seen)
    transport.close()
    await r.lost
    yield seen


async def second_transport(first, make):
    """What comes of it, in words."""
    try:
        await make()
    except RuntimeError as error:
        return str(error).partition(' used by')[2][:10]
    finally:
        first.transport.abort()
        await first.lost
    return 'made'


@scenario
async def one_transport_for_a_descriptor():
    yield sys.version_info >= (3, 12)
    if sys.version_info < (3, 12):  # asyncio makes another one
        return
    running = asyncio.get_running_loop()
    r = Datagrams()
    transport = await endpoint(r, local_addr=('127.0.0.1', 0))
    sock = transport.get_extra_info('socket')._sock
    yield await second_transport(r, lambda: endpoint(Datagrams(), sock=sock))
    for ssl in None, True:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            r = Pipe()
            await running.create_connection(lambda: r, sock=ours)
            options = {'server_hostname': 'localhost'} if ssl else {}
            yield await second_transport(r, lambda: running.create_connection(asyncio.Protocol, sock=ours, ssl=ssl, **options))


@scenario
async def unix_datagrams():
    """Of a kind that asyncio's own transport serves, and whose socket can be full."""
    ours, theirs = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    with tempfile.TemporaryDirectory() as folder:
        theirs.bind(folder + '/socket')
        ours.connect(folder + '/socket')
    ours.setblocking(False)
    theirs.settimeout(20)
    r = Recorder()
    transport = await endpoint(r, sock=ours)
    transport.set_write_buffer_limits(high=1500, low=500)  # CPython 3.13 counts up a few bytes for each that it does not count down
    while transport.get_write_buffer_size() < 1500:
        transport.sendto(b'x' * 1000)
    transport.sendto(b'last')
    yield list(r.log)
    received = [b'']
    while received[-1] != b'last':
        received.append(await in_thread(theirs.recv, 2000))
    await until(lambda: r.log[-1] == ('resume',))
    yield {len(data) for data in received}
    transport.close()
    await r.lost
    theirs.close()
    yield r.log


def pipe_ends():
    reading, writing = os.pipe()
    return os.fdopen(reading, 'rb', 0), os.fdopen(writing, 'wb', 0)


async def open_pipe(kind, protocol, end):
    running = asyncio.get_running_loop()
    connect = running.connect_read_pipe if kind == 'read' else running.connect_write_pipe
    transport, _ = await connect(lambda: protocol, end)
    return transport


@scenario
async def read_pipes():
    reading, writing = pipe_ends()
    r = Pipe()
    transport = await open_pipe('read', r, reading)
    yield transport.get_extra_info('pipe') is reading, transport.is_closing()
    writing.write(b'one')
    await until(lambda: ('data', b'one') in r.log)
    transport.pause_reading()
    writing.write(b'two')
    for _ in range(5):
        await asyncio.sleep(0.001)
    yield list(r.log)
    transport.resume_reading()
    await until(lambda: ('data', b'two') in r.log)
    writing.close()
    await r.lost
    yield r.log, transport.is_closing(), transport.get_protocol(), reading.closed


@scenario
async def read_pipes_that_end_inside_a_callback():
    def fail(r, *args):
        raise ValueError('as asked')
    for reaction in (lambda r, data: r.transport.close()), fail:
        for name in 'data', 'eof':
            reading, writing = pipe_ends()
            r = Pipe(**{name: lambda r, *args: reaction(r, *args or [b''])})
            transport = await open_pipe('read', r, reading)
            writing.write(b'x')
            await until(lambda: ('data', b'x') in r.log)
            writing.close()
            await r.lost
            yield r.log, transport.is_closing()


@scenario
async def terminals_end_once():
    main, sub = os.openpty()
    r = Pipe()
    transport = await open_pipe('read', r, os.fdopen(sub, 'rb', 0))
    os.write(main, b'line\n\x04')
    await r.lost
    yield r.log, transport.is_closing()
    os.close(main)


@scenario
async def write_pipes():
    reading, writing = pipe_ends()
    r = Pipe()
    transport = await open_pipe('write', r, writing)
    transport.set_write_buffer_limits(high=1000, low=100)
    for data in b'one', bytearray(b'two'), memoryview(b'three'), b'':
        transport.write(data)
    yield reading.read(100), transport.get_write_buffer_size(), transport.can_write_eof()
    transport.write(b'x' * 300000)
    yield transport.get_write_buffer_size() > 200000, list(r.log)
    transport.write(bytearray(b'y' * 10))
    raises(AssertionError, transport.write, 'text')
    rest = in_thread(reading.readall)
    await until(lambda: ('resume',) in r.log)
    transport.write_eof()
    yield transport.is_closing()
    transport.write(b'too late')
    yield await rest == b'x' * 300000 + b'y' * 10
    await r.lost
    reading.close()
    yield r.log, writing.closed


@scenario
async def writing_to_who_has_gone():
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
    reading, writing = pipe_ends()
    r = Pipe()
    transport = await open_pipe('write', r, writing)
    reading.close()
    logging.getLogger('asyncio').addHandler(handler)
    try:
        for _ in range(8):
            transport.write(b'x')
        yield transport.is_closing(), transport.get_write_buffer_size()
        await r.lost
    finally:
        logging.getLogger('asyncio').removeHandler(handler)
    yield records, r.log


@scenario
async def write_pipes_that_are_left():
    for end in 'close', 'abort':
        reading, writing = pipe_ends()
        r = Pipe()
        transport = await open_pipe('write', r, writing)
        transport.write(b'x' * 300000)
        getattr(transport, end)()
        getattr(transport, end)()
        got = await in_thread(lambda: len(reading.readall()))
        await r.lost
        reading.close()
        yield got == 300000, r.log


@scenario
async def debug_mode():
    running = asyncio.get_running_loop()
    running.slow_callback_duration = 100
    running.set_debug(True)
    try:
        for function in echo, read_pipes, write_pipes, refused_by_nobody:
            async for item in function():
                yield item
    finally:
        running.set_debug(False)


add_scenarios(loop)


@case
async def their_classes():
    transport = await endpoint(Datagrams(), local_addr=('127.0.0.1', 0))
    assert type(transport) is _tine.DatagramTransport
    assert isinstance(transport, asyncio.selector_events._SelectorDatagramTransport)
    transport.own = 'attribute'
    transport.abort()
    reading, writing = pipe_ends()
    reader, writer = await open_pipe('read', Pipe(), reading), await open_pipe('write', Pipe(), writing)
    assert type(reader) is _tine.ReadPipeTransport and type(writer) is _tine.WritePipeTransport
    reader.close()
    writer.close()
    await asyncio.sleep(0)


@case
async def sockets_with_calls_of_their_own():
    class Counting(socket.socket):
        calls = 0

        def sendto(self, *args):
            Counting.calls += 1
            return super().sendto(*args)
    own = Counting(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind(('127.0.0.1', 0))
    own.setblocking(False)
    transport = await endpoint(Datagrams(), sock=own)
    transport.sendto(b'x', ('127.0.0.1', 9))
    transport.close()
    assert Counting.calls == 1, Counting.calls


@case
async def a_pipe_of_a_file_is_refused():
    with tempfile.TemporaryFile() as file:
        try:
            await open_pipe('read', Pipe(), file)
        except ValueError as error:
            assert 'Pipe transport is for pipes/sockets only' in str(error), error
        else:
            raise AssertionError('a file is no pipe')


@case
async def never_initialised():
    transport = _tine.DatagramTransport.__new__(_tine.DatagramTransport)
    transport._read_ready()
    transport._sock = None
    raises(TypeError, _tine.DatagramTransport, loop)
    for kind in _tine.ReadPipeTransport, _tine.WritePipeTransport:
        pipe = kind.__new__(kind)
        pipe._pipe = None
        raises(OSError, pipe._read_ready) if kind is _tine.ReadPipeTransport else raises(AttributeError, pipe.write, b'x')


@case
def freed_without_the_collector():
    async def run():
        server, client = Datagrams(data=lambda r, data, *rest: r.transport.sendto(data, r.sender)), Datagrams()
        there = await endpoint(server, local_addr=('127.0.0.1', 0))
        near = await endpoint(client, remote_addr=there.get_extra_info('sockname'))
        near.sendto(b'x')
        await until(lambda: client.log[-1][0] == 'data')
        references = [weakref.ref(o) for o in (there, near, server, client)]
        for r in server, client:
            r.transport.close()
            await r.lost
            del r.transport, r.reactions
        return references
    gc.collect()
    gc.disable()
    try:
        references = loop.run_until_complete(run())
        loop.run_until_complete(asyncio.sleep(0))
        assert [r() for r in references] == [None] * 4, references
    finally:
        gc.enable()


@case
async def processes():
    data = b'x' * 1000000
    try:
        child = await asyncio.create_subprocess_exec('cat', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    except RuntimeError as error:  # forks are not everywhere allowed in a sub-interpreter
        assert 'subinterpreter' in str(error), error
        return
    assert await child.communicate(data) == (data, None) and child.returncode == 0


run_all(loop)
