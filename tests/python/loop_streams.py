# SPDX-License-Identifier: BSD-3-Clause
"""Transports of the worker's loop. Each scenario writes down what the protocol and the application see, on the worker's loop
and on asyncio's own, and the two must be the same."""

import asyncio
import contextvars
import gc
import logging
import os
import socket
import sys
import tempfile
import warnings
import weakref

import _tine
from loop_check import case, raises, run_all
from loop_differ import add_scenarios, in_thread, plain, scenario, until

loop = globals()['loop']
LOCAL = '127.0.0.1'
variable = contextvars.ContextVar('variable', default=None)


class Recorder(asyncio.Protocol):
    """Writes down its calls; `reactions` are called with the transport and the argument after that."""

    def __init__(self, **reactions):
        self.log, self.reactions, self.lost = [], reactions, asyncio.get_running_loop().create_future()

    def note(self, name, *args):
        self.log.append((name, *map(plain, args)))
        if name in self.reactions:
            return self.reactions[name](self, *args)

    def connection_made(self, transport):
        self.transport = transport
        self.note('made')

    def data_received(self, data):
        assert type(data) is bytes
        return self.note('data', data)

    def eof_received(self):
        return self.note('eof')

    def pause_writing(self):
        self.note('pause')

    def resume_writing(self):
        self.note('resume')

    def connection_lost(self, exc):
        self.note('lost', exc)
        self.lost.set_result(None)


class Buffered(asyncio.BufferedProtocol, Recorder):
    def get_buffer(self, hint):
        self.note('get', hint)
        self.buffer = self.reactions.get('buffer', lambda: bytearray(1000))()
        return self.buffer

    def buffer_updated(self, n):
        self.note('updated', memoryview(self.buffer)[:n])


async def start(protocol, kind=socket.AF_UNIX):
    """The transport of one end and the blocking socket of the other."""
    if kind == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server((LOCAL, 0)) as listener:
            theirs = socket.create_connection(listener.getsockname())
            ours, _ = listener.accept()
    ours.setblocking(False)
    theirs.settimeout(20)
    await asyncio.get_running_loop().create_connection(lambda: protocol, sock=ours)
    return protocol.transport, theirs


def drain(sock):
    """Everything until the end."""
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    sock.close()
    return b''.join(pieces)


@scenario
async def echo():
    for kind in socket.AF_UNIX, socket.AF_INET:
        r = Recorder(data=lambda r, data: r.transport.write(data))
        transport, peer = await start(r, kind)
        for n in 1, 1000, 50000:
            await in_thread(peer.sendall, b'a' * n)
            yield len(await in_thread(peer.recv, n, socket.MSG_WAITALL))
        peer.close()
        await r.lost
        yield b''.join(e[1] for e in r.log if e[0] == 'data') == b'a' * 51001
        yield [e for e in r.log if e[0] != 'data'], transport.is_closing()


@scenario
async def large_writes_keep_their_order():
    r = Recorder()
    transport, peer = await start(r)
    changing = bytearray(b'b' * 300000)
    transport.write(b'a' * 1000000)
    if sys.version_info < (3, 12) or type(transport) is _tine.SocketTransport:  # asyncio sends what it has become
        transport.write(changing)
        changing[:] = b'?' * 300000
    else:
        transport.write(bytes(changing))
    transport.write(memoryview(b'xccx')[1:3])
    transport.write(b'')
    transport.writelines([b'd', bytearray(b'e'), memoryview(b'f' * 100000)])
    yield transport.get_write_buffer_size() > 1000000
    transport.close()
    yield transport.is_closing(), r.lost.done()
    got = await in_thread(drain, peer)
    yield got == b'a' * 1000000 + b'b' * 300000 + b'cc' + b'de' + b'f' * 100000
    await r.lost
    yield [e for e in r.log]


@scenario
async def flow_control():
    r = Recorder()
    transport, peer = await start(r)
    transport.set_write_buffer_limits(high=1000, low=100)
    yield transport.get_write_buffer_limits()
    while not transport.get_write_buffer_size():
        transport.write(b'x' * 4096)
    transport.write(b'y' * 4096)
    yield list(r.log)
    reading = in_thread(drain, peer)
    await until(lambda: r.log[-1] == ('resume',))
    transport.write_eof()
    await reading
    transport.abort()
    await r.lost
    yield r.log


@scenario
async def writing_more_when_resumed():
    r = Recorder(resume=lambda r: r.transport.write(b'more'))
    transport, peer = await start(r)
    transport.set_write_buffer_limits(high=0)
    while not transport.get_write_buffer_size():
        transport.write(b'x' * 4096)
    reading = in_thread(drain, peer)
    await until(lambda: ('resume',) in r.log)
    transport.close()
    yield (await reading)[-5:]
    await r.lost
    yield r.log


@scenario
async def write_eof():
    r = Recorder()
    transport, peer = await start(r, socket.AF_INET)
    transport.write(b'x' * 2000000)
    yield transport.can_write_eof()
    transport.write_eof()
    transport.write_eof()
    yield plain(raises(RuntimeError, transport.write, b'x'))
    yield plain(raises(RuntimeError, transport.writelines, [b'x']))
    peer_data = await in_thread(lambda: len(drain(peer)))
    await r.lost
    yield peer_data, r.log, transport.is_closing()


@scenario
async def half_closed():
    r = Recorder(eof=lambda r: True)
    transport, peer = await start(r)
    peer.shutdown(socket.SHUT_WR)
    await until(lambda: ('eof',) in r.log)
    transport.write(b'still here')
    transport.close()
    yield await in_thread(drain, peer)
    await r.lost
    yield r.log


@scenario
async def close_and_abort():
    for end in 'close', 'abort':
        r = Recorder()
        transport, peer = await start(r)
        transport.write(b'x' * 3000000)
        getattr(transport, end)()
        getattr(transport, end)()
        yield end, list(r.log)
        got = await in_thread(lambda: len(drain(peer)))
        yield got == 3000000
        await r.lost
        yield r.log, transport.get_extra_info('nothing', 5)


@scenario
async def aborted_inside_a_callback():
    for reaction in 'made', 'data', 'eof', 'pause':
        r = Recorder(**{reaction: lambda r, *args: r.transport.abort()})
        transport, peer = await start(r)
        transport.set_write_buffer_limits(0)
        if reaction == 'pause':
            while not transport.is_closing():
                transport.write(b'x' * 4096)
        elif reaction != 'made':
            peer.send(b'x')
            peer.shutdown(socket.SHUT_WR)
        await r.lost
        peer.close()
        yield r.log


@scenario
async def reset_by_the_peer():
    r = Recorder()
    transport, peer = await start(r, socket.AF_INET)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
    peer.close()
    await r.lost
    yield r.log


@scenario
async def writing_to_who_has_gone():
    r = Recorder(eof=lambda r: True)
    transport, peer = await start(r)
    peer.close()
    await until(lambda: ('eof',) in r.log)
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
    logging.getLogger('asyncio').addHandler(handler)
    try:
        for _ in range(8):
            transport.write(b'x')
        yield transport.is_closing()
        await r.lost
        transport.write(b'x')
    finally:
        logging.getLogger('asyncio').removeHandler(handler)
    yield records, r.log


def fail(r, *args):
    raise ValueError('as asked')


@scenario
async def callbacks_that_fail():
    for reaction in 'data', 'eof', 'pause', 'resume', 'made':
        r = Recorder(**{reaction: fail})
        try:
            transport, peer = await start(r)
        except ValueError:
            continue
        transport.set_write_buffer_limits(0)
        if reaction in ('pause', 'resume'):
            while not transport.get_write_buffer_size():
                transport.write(b'x' * 4096)
            await in_thread(peer.recv, 1 << 20)
            await until(lambda: ('resume',) in r.log)
            transport.abort()
        elif reaction == 'made':
            transport.close()
        peer.send(b'x')
        peer.shutdown(socket.SHUT_WR)
        await r.lost
        peer.close()
        yield [e for e in r.log if e[0] != 'resume']


@scenario
async def buffers_of_all_kinds():
    for buffer in (lambda: bytearray(2), lambda: memoryview(bytearray(8))[2:4], lambda: bytearray(), lambda: b'read only',
                   lambda: None, lambda: 1 / 0):
        r = Buffered(buffer=buffer)
        transport, peer = await start(r)
        peer.send(b'abcde')
        peer.shutdown(socket.SHUT_WR)
        await r.lost
        peer.close()
        yield r.log


@scenario
async def buffer_updated_fails():
    r = Buffered(updated=fail)
    transport, peer = await start(r)
    peer.send(b'abc')
    await r.lost
    peer.close()
    yield r.log


@scenario
async def another_protocol():
    second = Buffered()
    first = Recorder(data=lambda r, data: r.transport.set_protocol(second))
    transport, peer = await start(first)
    yield transport.get_protocol() is first
    peer.send(b'one')
    await until(lambda: ('data', b'one') in first.log)
    yield transport.get_protocol() is second
    peer.send(b'two')
    await until(lambda: ('updated', b'two') in second.log)
    transport.set_protocol(first)
    peer.close()
    await first.lost
    yield first.log, second.log


@scenario
async def paused_reading():
    r = Recorder(data=lambda r, data: r.transport.pause_reading())
    transport, peer = await start(r)
    yield transport.is_reading()
    for data in b'one', b'two':
        peer.send(data)
        await until(lambda: ('data', data) in r.log)
        yield transport.is_reading()
        peer.send(b'later')
        for _ in range(5):
            await asyncio.sleep(0.001)
        yield list(r.log)
        transport.resume_reading()
        transport.resume_reading()
        await until(lambda: r.log[-1] == ('data', b'later'))
        transport.resume_reading()
    transport.pause_reading()
    transport.close()
    await r.lost
    peer.close()
    yield r.log


@scenario
async def contexts():
    seen = []
    r = Recorder(made=lambda r: (seen.append(variable.get()), variable.set('made')),
                 data=lambda r, data: (seen.append(variable.get()), variable.set(data)),
                 lost=lambda r, exc: seen.append(variable.get()))
    variable.set('at its birth')
    transport, peer = await start(r)
    variable.set('later')
    for data in b'one', b'two':
        peer.send(data)
        await until(lambda: ('data', data) in r.log)
    peer.close()
    await r.lost
    yield seen


@scenario
async def wrong_arguments():
    r = Recorder()
    transport, peer = await start(r)
    for value in 'text', 5, None, [1]:
        yield plain(raises(TypeError, transport.write, value))
    raises(TypeError, transport.writelines, 5)
    raises(TypeError, transport.writelines, ['text'])
    raises(TypeError, transport.write)
    transport.close()
    await r.lost
    yield drain(peer)


@scenario
async def files():
    r = Recorder()
    transport, peer = await start(r, socket.AF_INET)
    with tempfile.TemporaryFile() as file:
        file.write(b'f' * 3000000)
        file.seek(0)
        transport.write(b'head')
        sending = asyncio.ensure_future(asyncio.get_running_loop().sendfile(transport, file))
        await asyncio.sleep(0)
        yield plain(raises(RuntimeError, transport.write, b'x'))
        reading = in_thread(drain, peer)
        yield await sending
    transport.write(b'tail')
    transport.close()
    yield await reading == b'head' + b'f' * 3000000 + b'tail'
    await r.lost
    yield r.log


@scenario
async def shown():
    r = Recorder()
    transport, peer = await start(r)
    fd = transport.get_extra_info('socket').fileno()

    def text():
        return repr(transport).replace(f'fd={fd}', 'fd=N').replace('_SelectorSocketTransport', 'SocketTransport')
    yield text()
    await asyncio.sleep(0)
    while not transport.get_write_buffer_size():
        transport.write(b'x' * 4096)
    yield text().partition('bufsize')[0]
    transport.abort()
    yield text()
    await r.lost
    peer.close()
    yield text()
    yield sorted(transport._extra), transport.get_extra_info('peername'), transport.get_protocol()


@scenario
async def sockets_with_calls_of_their_own():
    class Counting(socket.socket):
        calls = 0

        def send(self, data):
            Counting.calls += 1
            return super().send(data)
    ours, theirs = socket.socketpair()
    own = Counting(fileno=ours.detach())
    own.setblocking(False)
    r = Recorder()
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: r, sock=own)
    transport.write(b'x')
    transport.close()
    await r.lost
    theirs.close()
    yield Counting.calls, type(transport).__name__


@scenario
async def servers():
    made = []

    def factory():
        made.append(Recorder(data=lambda r, data: (r.transport.write(data), r.transport.close())))
        return made[-1]
    running = asyncio.get_running_loop()
    server = await running.create_server(factory, LOCAL, 0)
    address = server.sockets[0].getsockname()
    for _ in range(3):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b'hello')
        yield await reader.read()
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()
    yield [r.log for r in made]
    try:
        await running.create_connection(asyncio.Protocol, *address)
    except OSError as error:
        yield type(error).__name__, error.errno


@scenario
async def debug_mode():
    running = asyncio.get_running_loop()
    running.slow_callback_duration = 100
    running.set_debug(True)
    try:
        async for item in echo():
            yield item
        async for item in callbacks_that_fail():
            yield item
    finally:
        running.set_debug(False)


add_scenarios(loop)


@case
async def its_classes():
    transport, peer = await start(Recorder())
    assert type(transport) is _tine.SocketTransport
    assert isinstance(transport, asyncio.Transport) and isinstance(transport, asyncio.selector_events._SelectorSocketTransport)
    transport.own = 'attribute'
    transport.abort()
    peer.close()
    await transport.get_protocol().lost


@case
async def closed_by_its_owner():
    """The number of its descriptor may be another file's by now, which must not get a byte of what is written."""
    r = Recorder()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    transport, _ = await loop.create_connection(lambda: r, sock=ours)
    fd = ours.fileno()
    loop._remove_reader(fd)
    reading, writing = os.pipe()
    ours.close()
    os.dup2(writing, fd)
    os.set_blocking(reading, False)
    transport.write(b'secret')
    await r.lost
    assert r.log[-1] == ('lost', ('OSError', '[Errno 9] Bad file descriptor')), r.log
    raises(BlockingIOError, os.read, reading, 10)
    theirs.close()
    for number in {reading, writing, fd}:
        os.close(number)


@case
async def lost_once():
    """asyncio's transport up to 3.13 calls connection_lost() twice here."""
    contexts = []
    loop.set_exception_handler(lambda _, context: contexts.append(context))
    for end in 'abort', 'close':
        r = Recorder(resume=lambda r: getattr(r.transport, end)())
        transport, peer = await start(r)
        transport.set_write_buffer_limits(high=0)
        while not transport.get_write_buffer_size():
            transport.write(b'x' * 4096)
        if end == 'abort':
            transport.close()
        await in_thread(drain, peer)
        await r.lost
        for _ in range(3):
            await asyncio.sleep(0)
        assert r.log == [('made',), ('pause',), ('resume',), ('lost', None)] and not contexts, (r.log, contexts)


@case
async def a_wrapped_socket():
    """CPython's own tests put such a thing in place of a transport's socket."""
    class Wrapper:
        def __init__(self, sock):
            self.sock = sock

        def __getattr__(self, name):
            return getattr(self.sock, name)

    r = Recorder()
    transport, peer = await start(r)
    transport._sock = Wrapper(transport._sock)
    transport.write(b'x')
    assert peer.recv(1) == b'x'
    peer.send(b'y')
    await until(lambda: ('data', b'y') in r.log)
    transport.close()
    await r.lost
    assert peer.recv(1) == b'' and r.log == [('made',), ('data', b'y'), ('lost', None)], r.log
    peer.close()


@case
async def never_initialised():
    transport = _tine.SocketTransport.__new__(_tine.SocketTransport)
    raises(RuntimeError, transport.write, b'x')
    raises(RuntimeError, transport.get_write_buffer_size)
    transport._read_ready()
    transport._sock = None
    raises(TypeError, _tine.SocketTransport, loop)
    raises(TypeError, _tine.SocketTransport, 5, 5, 5)


@case
def freed_without_the_collector():
    class Here(Recorder):
        pass

    async def run():
        r = Here()
        transport, peer = await start(r)
        transport.write(b'x')
        peer.send(b'x')
        await until(lambda: ('data', b'x') in r.log)
        transport.close()
        await r.lost
        peer.close()
        del r.transport
        return weakref.ref(transport), weakref.ref(r)
    gc.collect()
    gc.disable()
    try:
        references = loop.run_until_complete(run())
        loop.run_until_complete(asyncio.sleep(0))
        assert [r() for r in references] == [None, None], references
    finally:
        gc.enable()


@case
def collected_in_a_cycle():
    async def run():
        r = Recorder()
        transport, peer = await start(r)
        transport.me, transport.protocol = transport, r
        for _ in range(3):  # until it reads
            await asyncio.sleep(0)
        loop._remove_reader(transport.get_extra_info('socket').fileno())
        return weakref.ref(transport), peer
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        reference, peer = loop.run_until_complete(run())
        loop.run_until_complete(asyncio.sleep(0))
        gc.collect()
    said = [str(w.message) for w in caught]
    caught.clear()  # each has its source, to which weak references lead until it is gone (from 3.15 on)
    gc.collect()
    assert reference() is None
    assert any('unclosed transport <SocketTransport' in text for text in said), said
    assert peer.recv(1) == b''
    peer.close()


@case
def exceptions_that_end_the_loop():
    for kind in SystemExit, KeyboardInterrupt:
        def leave(r, data):
            raise kind(5)

        async def run():
            r = Recorder(data=leave)
            return r, *await start(r)
        r, transport, peer = loop.run_until_complete(run())
        peer.send(b'x')
        raises(kind, loop.run_until_complete, until(lambda: r.lost.done()))
        transport.abort()
        loop.run_until_complete(r.lost)
        peer.close()


@case
async def a_closed_socket_frees_its_number_for_the_next():
    for _ in range(50):
        r = Recorder(data=lambda r, data: r.transport.write(data))
        transport, peer = await start(r)
        peer.send(b'ping')
        assert await in_thread(peer.recv, 4, socket.MSG_WAITALL) == b'ping'
        transport.abort()
        peer.close()
        await r.lost


@case
async def numeric_addresses_need_no_thread():
    async def no_thread(*args):
        raise AssertionError('a thread was asked')
    calls = [((LOCAL, 80), {}), ((LOCAL, 80), {'type': socket.SOCK_STREAM}), (('::1', 80), {'proto': socket.IPPROTO_TCP}),
             (('255.255.255.255', 0), {'family': socket.AF_INET, 'flags': socket.AI_PASSIVE})]
    loop.run_in_executor = no_thread
    try:
        for args, options in calls:
            assert await loop.getaddrinfo(*args, **options) == socket.getaddrinfo(*args, **options)
        try:
            await loop.getaddrinfo(LOCAL, 80, family=socket.AF_INET6)
        except socket.gaierror:
            pass
        else:
            raise AssertionError('no error')
        for name in 'localhost', '127.1', LOCAL.encode(), '1.2.3.4\0', '':
            try:
                await loop.getaddrinfo(name, 80)
            except AssertionError:
                continue
            raise AssertionError(f'{name} was resolved here')
    finally:
        del loop.run_in_executor


@case
async def sock_connect_to_a_number():
    with socket.create_server((LOCAL, 0)) as listener, socket.socket() as s, socket.socket() as refused:
        s.setblocking(False)
        refused.setblocking(False)
        address = listener.getsockname()
        await loop.sock_connect(s, address)
        assert s.getpeername() == address
        listener.close()
        try:
            await loop.sock_connect(refused, address)
        except ConnectionRefusedError as error:
            assert str(address[1]) in str(error)
        else:
            raise AssertionError('connected to nobody')


async def write_to_a_thread(transport, read):
    """A thread begins to read when the kernel has no more room: a system call that waits with the GIL would be the end."""
    everything = in_thread(read)
    transport.write(bytes(3000000))
    assert await everything == bytes(3000000)
    transport.close()


@case
async def a_shared_socket_that_somebody_has_block():
    near, far = socket.socketpair()
    with far:
        near.setblocking(False)
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        os.set_blocking(near.fileno(), True)
        await write_to_a_thread(transport, lambda: far.recv(3000000, socket.MSG_WAITALL))


@case
async def a_shared_pipe_that_somebody_has_block():
    reading, writing = os.pipe()
    with open(reading, 'rb') as end, open(writing, 'wb', 0) as pipe:
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, pipe)
        os.set_blocking(writing, True)
        await write_to_a_thread(transport, lambda: end.read(3000000))


run_all(loop)
