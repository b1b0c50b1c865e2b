# SPDX-License-Identifier: BSD-3-Clause
"""sock_recv() and its kind on the worker's loop, compared with asyncio's own."""

import asyncio
import contextlib
import contextvars
import gc
import socket
import sys
import threading
import weakref

import _tine
from loop_check import case, run_all
from loop_differ import add_scenarios, in_thread, plain, scenario, until

loop = globals()['loop']
variable = contextvars.ContextVar('variable', default=None)


@contextlib.contextmanager
def pair(*kind):
    near, far = socket.socketpair(*kind)
    with near, far:
        near.setblocking(False)
        far.setblocking(False)
        yield near, far


@contextlib.contextmanager
def datagrams(family=socket.AF_INET, host='127.0.0.1'):
    with socket.socket(family, socket.SOCK_DGRAM) as near, socket.socket(family, socket.SOCK_DGRAM) as far:
        for sock in near, far:
            sock.bind((host, 0))
            sock.setblocking(False)
        yield near, far


async def outcome(awaitable):
    try:
        return plain(await awaitable)
    except (Exception, asyncio.CancelledError) as error:
        return plain(error), getattr(error, 'errno', None)


async def begun(coroutine):
    """A task that waits by now."""
    task = asyncio.ensure_future(coroutine)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    return task


def watched(fd):
    handles = asyncio.get_running_loop()._selector.get_map().get(fd)
    return handles and handles.events


# Each receives 5 bytes at most: (the coroutine, what it has received).
def by_recv(loop, sock):
    return loop.sock_recv(sock, 5), None


def by_recv_into(loop, sock):
    room = bytearray(5)
    return loop.sock_recv_into(sock, room), room


def by_recv_into_view(loop, sock):
    room = bytearray(9)
    return loop.sock_recv_into(sock, memoryview(room)[2:7]), room


def by_recvfrom(loop, sock):
    return loop.sock_recvfrom(sock, 5), None


def by_recvfrom_into(loop, sock):
    room = bytearray(5)
    return loop.sock_recvfrom_into(sock, room), room


def by_recvfrom_into_part(loop, sock):
    room = bytearray(9)
    return loop.sock_recvfrom_into(sock, room, 5), room


WAYS = by_recv, by_recv_into, by_recv_into_view, by_recvfrom, by_recvfrom_into, by_recvfrom_into_part


def sender_is(result, sock):
    """With whether the address is the socket's instead of its port, which differs from run to run."""
    return (result[0], result[1] == sock.getsockname()) if isinstance(result, tuple) and len(result) == 2 else result


@scenario
async def receiving_from_a_stream():
    for way in WAYS:
        with pair() as (near, far):
            loop = asyncio.get_running_loop()
            far.send(b'there already')
            receiving, room = way(loop, near)
            yield way.__name__, await outcome(receiving), plain(room)
            near.recv(100)
            receiving, room = way(loop, near)
            waiting = await begun(receiving)
            yield watched(near.fileno())
            far.send(b'later')
            yield await outcome(waiting), plain(room), watched(near.fileno())
            far.close()
            receiving, room = way(loop, near)
            yield await outcome(receiving), plain(room)


@scenario
async def receiving_datagrams():
    for way in WAYS:
        with datagrams() as (near, far):
            loop = asyncio.get_running_loop()
            for data in b'', b'short', b'too long for it':
                far.sendto(data, near.getsockname())
                receiving, room = way(loop, near)
                yield way.__name__, sender_is(await outcome(receiving), far), plain(room)
                receiving, room = way(loop, near)
                waiting = await begun(receiving)
                far.sendto(data, near.getsockname())
                yield sender_is(await outcome(waiting), far), plain(room)


@scenario
async def datagrams_of_other_families():
    loop = asyncio.get_running_loop()
    with pair(socket.AF_UNIX, socket.SOCK_DGRAM) as (near, far):
        far.send(b'x')
        yield await outcome(loop.sock_recvfrom(near, 5))
        waiting = await begun(loop.sock_recvfrom_into(near, bytearray(5)))
        far.send(b'x')
        yield await outcome(waiting)
    if socket.has_ipv6:
        with contextlib.suppress(OSError), datagrams(socket.AF_INET6, '::1') as (near, far):
            yield await outcome(loop.sock_sendto(far, b'six', near.getsockname()))
            yield sender_is(await outcome(loop.sock_recvfrom(near, 5)), far)


@scenario
async def connections_have_no_sender():
    loop = asyncio.get_running_loop()
    with socket.create_server(('127.0.0.1', 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        near.setblocking(False)
        with listener.accept()[0] as far:
            far.send(b'x')
            yield await outcome(loop.sock_recvfrom(near, 5))


@scenario
async def sizes():
    loop = asyncio.get_running_loop()

    class Five:
        def __index__(self):
            return 5
    with pair() as (near, far):
        far.send(b'x' * 20)
        for size in 0, -1, 2 ** 70, True, Five(), 2.0, None, 'x', 300000:
            yield repr(size)[:4], await outcome(loop.sock_recv(near, size))
        far.send(b'x' * 20)
        yield await outcome(loop.sock_recvfrom_into(near, bytearray(5), 6))
        yield await outcome(loop.sock_recvfrom_into(near, bytearray(5), -1))
        yield await outcome(loop.sock_recvfrom_into(near, buf=bytearray(5), nbytes=3))
        yield await outcome(loop.sock_recv(near, n=3))
    with datagrams() as (near, far):
        far.sendto(b'x' * 20, near.getsockname())
        for size in -1, 2.0, 0:
            yield (await outcome(loop.sock_recvfrom(near, size)))[0]


@scenario
async def buffers():
    import array
    loop = asyncio.get_running_loop()
    released = memoryview(bytearray(5))
    released.release()
    for room in (b'fixed', memoryview(b'fixed'), bytearray(), released, 'text', None, array.array('i', [0, 0]),
                 memoryview(bytearray(8))[::2], memoryview(bytearray(8)).cast('H')):
        with pair() as (near, far):
            far.send(b'12345678')
            yield await outcome(loop.sock_recv_into(near, room)), bytes(room) if isinstance(room, array.array) else None
        if room is not released and getattr(room, 'itemsize', 1) > 1:
            continue  # asyncio never ends to send what has fewer items than bytes
        with pair() as (near, far):
            yield await outcome(loop.sock_sendall(near, room))
            near.close()
            yield await outcome(loop.sock_recv(far, 100))


@scenario
async def sending_much():
    loop = asyncio.get_running_loop()
    data = bytes(range(256)) * 20000
    for kind in bytes, bytearray, memoryview:
        with pair() as (near, far):
            sent = kind(data)
            sending = await begun(loop.sock_sendall(near, sent))
            yield watched(near.fileno())
            if kind is bytearray:
                try:
                    sent.append(1)
                except BufferError as error:
                    yield plain(error)
            got = bytearray()
            while len(got) < len(data):
                got += await loop.sock_recv(far, 500000)
            yield await outcome(sending), got == data, watched(near.fileno())
            if kind is bytearray:
                sent.append(1)
                yield len(sent)


@scenario
async def sending_nothing():
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        yield await outcome(loop.sock_sendall(near, b''))
        filled = await begun(loop.sock_sendall(near, bytes(5000000)))
        yield await outcome(loop.sock_sendall(near, b''))
        filled.cancel()
        yield await outcome(filled)
    with pair(socket.AF_UNIX, socket.SOCK_DGRAM) as (near, far):
        yield await outcome(loop.sock_sendall(near, b'')), far.recv(5)


@scenario
async def sending_to():
    loop = asyncio.get_running_loop()
    with datagrams() as (near, far):
        for data in b'', b'bytes', bytearray(b'array'), memoryview(b'view'):
            yield await outcome(loop.sock_sendto(near, data, far.getsockname())), far.recv(10)
        port = far.getsockname()[1]
        for address in ('localhost', port), ['127.0.0.1', port], ('127.0.0.1', 70000), ('127.0.0.1', True), None, ('127.0.0.1',):
            yield plain(await outcome(loop.sock_sendto(near, b'x', address)))
        yield await outcome(loop.sock_sendto(near, b'x' * 70000, far.getsockname()))
        near.close()
        yield await outcome(loop.sock_sendto(near, b'x', ('127.0.0.1', port)))


@scenario
async def sending_to_where_there_is_no_room():
    loop = asyncio.get_running_loop()
    with pair(socket.AF_UNIX, socket.SOCK_DGRAM) as (near, far):
        with contextlib.suppress(BlockingIOError):
            while True:
                near.send(bytes(1000))
        sending = await begun(loop.sock_sendall(near, b'the last'))
        while far.recv(1000) != b'the last':
            await asyncio.sleep(0)
        yield await outcome(sending)


@scenario
async def ends_of_the_other_side():
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        sending = await begun(loop.sock_sendall(near, bytes(5000000)))
        far.close()
        yield await outcome(sending), watched(near.fileno())
        yield await outcome(loop.sock_sendall(near, b'x'))
    with socket.create_server(('127.0.0.1', 0)) as listener, socket.create_connection(listener.getsockname()) as near:
        near.setblocking(False)
        far = listener.accept()[0]
        waiting = await begun(loop.sock_recv(near, 5))
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        far.close()
        yield await outcome(waiting), watched(near.fileno())


@scenario
async def cancellation():
    loop = asyncio.get_running_loop()
    for way in WAYS:
        with pair() as (near, far):
            receiving, room = way(loop, near)
            waiting = await begun(receiving)
            waiting.cancel('because')
            yield await outcome(waiting), watched(near.fileno())
            # What comes after that is the next one's.
            far.send(b'first')
            receiving, room = way(loop, near)
            yield await outcome(receiving), plain(room)
            # So is what has come in the same turn.
            receiving, room = way(loop, near)
            waiting = await begun(receiving)
            far.send(b'again')
            waiting.cancel()
            yield await outcome(waiting), await outcome(loop.sock_recv(near, 10))
    with pair() as (near, far):
        waiting = await begun(loop.sock_sendall(near, bytes(5000000)))
        waiting.cancel()
        yield await outcome(waiting), watched(near.fileno())
    with pair() as (near, far):
        yield await outcome(asyncio.wait_for(loop.sock_recv(near, 1), 0.01)), watched(near.fileno())


@scenario
async def cancelled_when_the_data_is_there():
    """The loop has received it by then, and it is lost."""
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        waiting = await begun(loop.sock_recv(near, 5))
        far.send(b'first')
        for _ in range(5):
            if waiting._fut_waiter is None or waiting._fut_waiter.done():
                break
            await asyncio.sleep(0)
        yield waiting.cancel(), await outcome(waiting), watched(near.fileno())


@scenario
async def a_coroutine_that_is_closed():
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        coroutine = loop.sock_recv(near, 5)
        future = coroutine.send(None)
        yield type(future).__name__, watched(near.fileno())
        future.cancel()
        coroutine.close()
        await asyncio.sleep(0)
        yield watched(near.fileno())
        coroutine = loop.sock_recv(near, 5)
        coroutine.close()
        yield watched(near.fileno())


@scenario
async def one_after_the_other_on_a_socket():
    """The later one takes the place of the earlier."""
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        first = await begun(loop.sock_recv(near, 5))
        second = await begun(loop.sock_recv(near, 5))
        first.cancel()
        yield await outcome(first), watched(near.fileno())
        far.send(b'x')
        yield await outcome(second), watched(near.fileno())
        third = await begun(loop.sock_recv(near, 5))
        calls = []
        loop.add_reader(near, calls.append, 1)
        third.cancel()
        yield await outcome(third), watched(near.fileno())
        far.send(b'x')
        await until(lambda: calls)
        yield loop.remove_reader(near), near.recv(5)
        # Reading and writing do not meet.
        sending = await begun(loop.sock_sendall(near, bytes(5000000)))
        reading = await begun(loop.sock_recv(near, 1))
        yield watched(near.fileno())
        reading.cancel()
        yield await outcome(reading), watched(near.fileno())
        sending.cancel()
        yield await outcome(sending), watched(near.fileno())


@scenario
async def where_a_transport_reads():
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=near)
        for waiting in loop.sock_recv(near, 5), loop.sock_recv_into(near, bytearray(5)), loop.sock_accept(near):
            error = (await outcome(waiting))[0]
            yield error[0], error[1][:16]
        transport.abort()
        await asyncio.sleep(0)


@scenario
async def sockets_that_are_closed():
    loop = asyncio.get_running_loop()
    for operation in (lambda s: loop.sock_recv(s, 5), lambda s: loop.sock_recv_into(s, bytearray(5)), lambda s: loop.sock_recvfrom(s, 5),
                      lambda s: loop.sock_sendall(s, b'x'), loop.sock_accept, lambda s: loop.sock_connect(s, ('127.0.0.1', 1)),
                      lambda s: loop.sock_recvfrom_into(s, bytearray(5))):
        with pair() as (near, far):
            near.close()
            yield await outcome(operation(near))


@scenario
async def sockets_of_other_kinds():
    loop = asyncio.get_running_loop()

    class Counting(socket.socket):
        calls = 0

        def recv(self, *args):
            Counting.calls += 1
            return super().recv(*args)

    with pair() as (near, far):
        own = Counting(near.family, near.type, near.proto, fileno=near.detach())
        with own:
            own.setblocking(False)
            far.send(b'x')
            yield await outcome(loop.sock_recv(own, 5)), Counting.calls
    for nothing in None, 'socket', 5:
        error = (await outcome(loop.sock_recv(nothing, 5)))[0]
        yield error[0]


@scenario
async def sockets_that_block():
    """They block here too, unless in debug mode."""
    loop = asyncio.get_running_loop()
    with pair() as (near, far):
        far.send(b'x')
        near.settimeout(0.01)
        yield await outcome(loop.sock_recv(near, 5))
        yield await outcome(loop.sock_recv(near, 5))
        loop.set_debug(True)
        loop.slow_callback_duration = 3600
        try:
            for waiting in (loop.sock_recv(near, 5), loop.sock_recv_into(near, bytearray(5)), loop.sock_recvfrom(near, 5),
                            loop.sock_recvfrom_into(near, bytearray(5)), loop.sock_sendall(near, b'x'),
                            loop.sock_sendto(near, b'x', ('127.0.0.1', 1)), loop.sock_accept(near),
                            loop.sock_connect(near, ('127.0.0.1', 1))):
                yield await outcome(waiting)
            near.setblocking(False)
            waiting = await begun(loop.sock_recv(near, 5))
            far.send(b'y')
            yield await outcome(waiting), watched(near.fileno())
        finally:
            loop.set_debug(False)
            loop.slow_callback_duration = 0.1


@scenario
async def connecting():
    loop = asyncio.get_running_loop()
    with socket.create_server(('127.0.0.1', 0)) as listener:
        address = listener.getsockname()
        for kind in tuple, list:
            with socket.socket() as near:
                near.setblocking(False)
                yield await outcome(loop.sock_connect(near, kind(address))), near.getpeername() == address, watched(near.fileno())
                if kind is tuple:
                    yield await outcome(loop.sock_connect(near, address))
        free = socket.socket()
        free.bind(('127.0.0.1', 0))
        with free, socket.socket() as near:
            near.setblocking(False)
            (name, text), number = await outcome(loop.sock_connect(near, free.getsockname()))
            yield name, text.replace(str(free.getsockname()[1]), 'PORT'), number, watched(near.fileno())
        for wrong in ('127.0.0.1', 70000), ('127.0.0.1', -1), ('127.0.0.1',), ('no\0host', 1), (b'127.0.0.1', address[1]):
            with socket.socket() as near:
                near.setblocking(False)
                yield (await outcome(loop.sock_connect(near, wrong)))[0] if wrong[0] != b'127.0.0.1' else None
    with socket.socket() as near:  # to where nobody answers
        near.setblocking(False)
        connecting = asyncio.ensure_future(loop.sock_connect(near, ('240.0.0.1', 1)))
        await asyncio.sleep(0)
        connecting.cancel()
        await outcome(connecting)
        yield watched(near.fileno())


@scenario
async def accepting():
    loop = asyncio.get_running_loop()
    with socket.create_server(('127.0.0.1', 0)) as listener:
        listener.setblocking(False)
        address = listener.getsockname()
        for late in False, True:
            waiting = await begun(loop.sock_accept(listener)) if late else None
            with socket.create_connection(address) as near:
                accepted, sender = await (waiting or loop.sock_accept(listener))
                with accepted:
                    yield type(accepted) is socket.socket, sender == near.getsockname(), accepted.gettimeout(), accepted.get_inheritable()
            yield watched(listener.fileno())
        waiting = await begun(loop.sock_accept(listener))
        waiting.cancel()
        yield await outcome(waiting), watched(listener.fileno())
    with socket.socket() as near:
        near.setblocking(False)
        yield await outcome(loop.sock_accept(near))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as near:
        listener.setblocking(False)
        listener.bind('')
        listener.listen()
        waiting = await begun(loop.sock_accept(listener))
        near.connect(listener.getsockname())
        accepted, sender = await waiting
        accepted.close()
        yield sender, accepted.family


@scenario
async def the_context_is_the_callers():
    loop = asyncio.get_running_loop()
    seen = []

    async def receive(value):
        variable.set(value)
        await loop.sock_recv(near, 5)
        seen.append(variable.get())
    with pair() as (near, far):
        waiting = await begun(receive(7))
        far.send(b'x')
        await waiting
    yield seen


@scenario
async def what_sendfile_sends():
    import tempfile
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryFile() as file, pair() as (near, far):
        file.write(b'0123456789' * 30000)
        file.flush()
        sending = asyncio.ensure_future(loop.sock_sendfile(near, file, 5, 250000))
        got = b''
        while len(got) < 250000:
            got += await loop.sock_recv(far, 65536)
        yield await outcome(sending), got == (b'0123456789' * 30000)[5:250005], file.tell()


@case
async def an_audit_hook_hears_of_it():
    heard = []
    with datagrams() as (near, far):
        on = True
        sys.addaudithook(lambda event, args: on and event in ('socket.sendto', 'socket.connect') and heard.append((event, args)))
        there = far.getsockname()
        await loop.sock_sendto(near, b'x', there)
        await loop.sock_connect(near, there)
        on = False
        assert heard == [('socket.sendto', (near, there)), ('socket.connect', (near, there))], heard


@case
async def nothing_is_left():
    """Neither of what has come, nor of what was cancelled, nor of what failed; without the collector."""
    async def use():
        references = []
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        for end in 'data', 'cancel', 'fail':
            task = asyncio.ensure_future(loop.sock_recv(near, 5) if end != 'cancel' else loop.sock_sendall(near, bytes(5000000)))
            while task._fut_waiter is None:
                await asyncio.sleep(0)
            references.append(weakref.ref(task))
            references.append(weakref.ref(task._fut_waiter))
            if end == 'data':
                far.send(b'x')
                assert await task == b'x'
            elif end == 'cancel':
                task.cancel()
                try:
                    await task
                except asyncio.CancelledError:
                    pass
            else:
                far.close()
                try:
                    await task
                except ConnectionResetError:
                    pass
            del task
        near.close()
        references.append(weakref.ref(near))
        return references
    gc.collect()
    gc.disable()
    try:
        references = await use()
        await asyncio.sleep(0)
        assert [r() for r in references] == [None] * len(references), references
    finally:
        gc.enable()


@case
async def the_objects_of_a_wait_are_collected():
    """A cycle through the Future."""
    with pair() as (near, far):
        wait = _tine.sock_sendall(loop, near, bytes(5000000))
        assert type(wait) is _tine.SockWait and not wait.future.done()
        wait.future.add_done_callback(wait.end)
        gone = weakref.ref(wait.future)
        loop._remove_writer(near)
        del wait
        gc.collect()
        assert gone() is None


@case
def a_wait_cannot_be_made():
    try:
        _tine.SockWait()
    except TypeError:
        pass
    else:
        raise AssertionError('a SockWait was made')
    for wrong in (), (loop,), (None, None), (loop, None, 5, 6, 7):
        for name in 'recv', 'recv_into', 'recvfrom', 'recvfrom_into', 'sendall', 'sendto', 'connect', 'accept':
            try:
                assert getattr(_tine, 'sock_' + name)(*wrong) is NotImplemented
            except TypeError:
                pass


@case
async def a_shared_socket_that_somebody_has_block():
    """O_NONBLOCK is not the descriptor's own: whoever has a duplicate, a child process perhaps, can clear it. Threads of ours go on."""
    with pair() as (near, far), near.dup() as duplicate:
        duplicate.setblocking(True)
        far.setblocking(True)
        for way in by_recv, by_recv_into, by_recv_into_view:
            receiving, room = way(loop, near)
            waiting = await begun(receiving)
            await in_thread(far.send, b'later')
            await waiting
        everything = in_thread(far.recv, 3000000, socket.MSG_WAITALL)
        await loop.sock_sendall(near, bytes(3000000))
        assert await everything == bytes(3000000)


@scenario
async def guards_of_where_to_connect():
    """As pytest-socket has them: they are methods of socket.socket itself."""
    def refuse(sock, *args):
        raise PermissionError('guarded')

    loop = asyncio.get_running_loop()
    with socket.create_server(('127.0.0.1', 0)) as listener, socket.socket() as near, datagrams() as (sending, receiving):
        near.setblocking(False)
        socket.socket.connect = socket.socket.sendto = refuse
        try:
            yield await outcome(loop.sock_connect(near, listener.getsockname()))
            yield await outcome(loop.sock_sendto(sending, b'x', receiving.getsockname()))
        finally:
            del socket.socket.connect, socket.socket.sendto
        yield await outcome(loop.sock_connect(near, listener.getsockname()))
        yield await outcome(loop.sock_sendto(sending, b'x', receiving.getsockname()))


@case
async def in_another_thread():
    """The loop is another's there: refused, and nothing is lost of the socket."""
    with pair() as (near, far):
        async def there():
            try:
                await asyncio.wait_for(other.sock_recv(near, 5), 5)
            except RuntimeError as error:
                return str(error)

        def run():
            runner = asyncio.SelectorEventLoop()
            try:
                results.append(runner.run_until_complete(there()))
            finally:
                runner.close()
        other, results = loop, []
        thread = threading.Thread(target=run)
        thread.start()
        await in_thread(thread.join)
        assert results and results[0], results
        assert watched(near.fileno()) is None
        far.send(b'x')
        assert await loop.sock_recv(near, 5) == b'x'


add_scenarios(loop)
run_all(loop)
