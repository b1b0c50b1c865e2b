# SPDX-License-Identifier: BSD-3-Clause
"""The Python half of the worker's event loop.

LoopBase (C) has what every request calls: scheduling, timers, descriptors, signals and one turn of the loop; and the transports read and
write in C. Everything else (servers, TLS, subprocesses, executors) is asyncio's own selector event loop.
"""

import asyncio
import functools
import os
import selectors
import signal
import socket
import sys

from asyncio import base_events, constants, coroutines, format_helpers, selector_events, sslproto

import _tine

from _tine import DatagramTransport, LoopBase, ReadPipeTransport, SocketTransport, SockWait, WritePipeTransport
from _tine_life import Life

# The public name warns since Python 3.14.
_iscoroutinefunction = getattr(coroutines, '_iscoroutinefunction', coroutines.iscoroutinefunction)


watching = None  # the Loop that waits for Python's signals; one at a time, as they are the process's


# What our transports do themselves and leave to the kernel; a socket that does it otherwise has asyncio's.
_SOCKET_CALLS = 'fileno', 'recv', 'recv_into', 'recvfrom', 'send', 'sendmsg', 'sendto'
_family = socket.SocketType.family.__get__  # the number; the property of socket.socket makes an enum of it


@functools.cache
def _is_plain_socket(kind):
    return all(getattr(kind, name, None) is getattr(socket.socket, name) for name in _SOCKET_CALLS)


# From CPython 3.12 on asyncio refuses a second transport for a descriptor that has one.
_REFUSES_SECOND = sys.version_info >= (3, 12)

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


def _is_numeric(host, port):
    """An address and a port by number."""
    if type(host) is not str or not (port is None or type(port) is int or (type(port) is str and port.isdecimal())):
        return False
    try:
        socket.inet_pton(socket.AF_INET6 if ':' in host else socket.AF_INET, host)
    except (OSError, ValueError):
        return False
    return True


def _pipe_has_ended(transport):
    """What asyncio's ReadPipeTransport does when there is nothing more to read."""
    loop = transport._loop
    if loop.get_debug():
        base_events.logger.info('%r was closed by peer', transport)
    transport._closing = True
    loop._remove_reader(transport._fileno)
    loop.call_soon(transport._protocol.eof_received)
    loop.call_soon(transport._call_connection_lost, None)


class _Selector:
    """What asyncio's code and its debuggers ask a selector: who watches which descriptor. libevent does its work."""

    def __init__(self, loop):
        self._watched = loop._watched

    @staticmethod
    def _key(fileobj, fd, handles):
        reader, writer = handles
        events = (selectors.EVENT_READ if reader else 0) | (selectors.EVENT_WRITE if writer else 0)
        return selectors.SelectorKey(fileobj, fd, events, handles)

    def get_key(self, fileobj):
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        try:
            return self._key(fileobj, fd, self._watched()[fd])
        except KeyError:
            raise KeyError(f'{fileobj!r} is not registered') from None

    def get_map(self):
        return {fd: self._key(fd, fd, handles) for fd, handles in self._watched().items()}

    def close(self):
        del self._watched


def _forget_in_child():
    if watching is not None:
        watching.forget_python_signals()


if '_tine_fork_child' not in sys.modules:  # which does it, and more, for the server
    os.register_at_fork(after_in_child=_forget_in_child)


class Loop(LoopBase, asyncio.SelectorEventLoop):
    # nest_asyncio replaces run_forever() and _run_once() of the class of the loop that it finds, unless it has done so: its
    # own would look for a selector and queues that are not there.
    _nest_patched = True

    def __init__(self, base=None):
        self._is_private = base is None  # an application's own
        self._closed = True  # until there is something to close
        self._open(base)
        super().__init__(_Selector(self))
        self._wakeup = None
        if not self._is_private:
            self._life = Life(self)
            self._hand_over = self._life.hand_over

    def _run_handle(self, handle):
        """Runs a handle in debug mode, or one that is not ours."""
        if handle._cancelled:
            return
        if not self._debug:
            handle._run()
            return
        try:
            self._current_handle = handle
            start = self.time()
            handle._run()
            took = self.time() - start
            if took >= self.slow_callback_duration:
                base_events.logger.warning('Executing %s took %.3f seconds', base_events._format_handle(handle), took)
        finally:
            self._current_handle = None
            handle = None  # the frame may outlive the call in a traceback: no cycle

    def _callback_failed(self, handle, exception):
        callback = format_helpers._format_callback_source(handle._callback, handle._args)
        context = {
            'message': f'Exception in callback {callback}',
            'exception': exception,
            'handle': handle,
        }
        if handle._source_traceback:
            context['source_traceback'] = handle._source_traceback
        self.call_exception_handler(context)

    async def getaddrinfo(self, host, port, *, family=0, type=0, proto=0, flags=0):
        if self._debug or not _is_numeric(host, port):
            return await super().getaddrinfo(host, port, family=family, type=type, proto=proto, flags=flags)
        return socket.getaddrinfo(host, port, family, type, proto, flags | _NUMERIC)  # asks nobody: needs no thread

    # Each asks C first, which gives the result, what waits for it, or NotImplemented: asyncio's own code does it.

    async def sock_recv(self, sock, n):
        result = _tine.sock_recv(self, sock, n)
        if type(result) is SockWait:
            try:
                return await result.future
            finally:
                result.end()
        if result is NotImplemented:
            return await super().sock_recv(sock, n)
        return result

    async def sock_recv_into(self, sock, buf):
        result = _tine.sock_recv_into(self, sock, buf)
        if type(result) is SockWait:
            try:
                return await result.future
            finally:
                result.end()
        if result is NotImplemented:
            return await super().sock_recv_into(sock, buf)
        return result

    async def sock_recvfrom(self, sock, bufsize):
        result = _tine.sock_recvfrom(self, sock, bufsize)
        if type(result) is SockWait:
            try:
                return await result.future
            finally:
                result.end()
        if result is NotImplemented:
            return await super().sock_recvfrom(sock, bufsize)
        return result

    async def sock_recvfrom_into(self, sock, buf, nbytes=0):
        result = _tine.sock_recvfrom_into(self, sock, buf, nbytes)
        if type(result) is SockWait:
            try:
                return await result.future
            finally:
                result.end()
        if result is NotImplemented:
            return await super().sock_recvfrom_into(sock, buf, nbytes)
        return result

    async def sock_sendall(self, sock, data):
        result = _tine.sock_sendall(self, sock, data)
        if type(result) is SockWait:
            try:
                return await result.future
            finally:
                result.end()
        if result is NotImplemented:
            return await super().sock_sendall(sock, data)
        return result

    async def sock_sendto(self, sock, data, address):
        result = _tine.sock_sendto(self, sock, data, address)
        if result is NotImplemented:
            return await super().sock_sendto(sock, data, address)
        return result

    async def sock_connect(self, sock, address):
        result = _tine.sock_connect(self, sock, address)
        if type(result) is SockWait:
            try:
                return await result.future
            finally:
                result.end()
        if result is NotImplemented:
            return await super().sock_connect(sock, address)
        return result

    async def sock_accept(self, sock):
        result = _tine.sock_accept(self, sock)
        if type(result) is SockWait:
            try:
                return await result.future
            finally:
                result.end()
        if result is NotImplemented:
            return await super().sock_accept(sock)
        return result

    def _make_socket_transport(self, sock, protocol, waiter=None, **options):
        if _REFUSES_SECOND:
            self._ensure_fd_no_transport(sock)
        kind = SocketTransport if _is_plain_socket(type(sock)) else selector_events._SelectorSocketTransport
        return kind(self, sock, protocol, waiter, **options)

    def _make_datagram_transport(self, sock, protocol, *args, **options):
        if _REFUSES_SECOND:
            self._ensure_fd_no_transport(sock)
        ours = _is_plain_socket(type(sock)) and _family(sock) in (socket.AF_INET, socket.AF_INET6)
        kind = DatagramTransport if ours else selector_events._SelectorDatagramTransport
        return kind(self, sock, protocol, *args, **options)

    def _make_read_pipe_transport(self, pipe, protocol, *args, **options):
        return ReadPipeTransport(self, pipe, protocol, *args, **options)

    def _make_write_pipe_transport(self, pipe, protocol, *args, **options):
        return WritePipeTransport(self, pipe, protocol, *args, **options)

    def _make_ssl_transport(self, rawsock, protocol, sslcontext, waiter=None, *, server_side=False, server_hostname=None,
                            ssl_handshake_timeout=constants.SSL_HANDSHAKE_TIMEOUT,
                            ssl_shutdown_timeout=constants.SSL_SHUTDOWN_TIMEOUT, **options):
        ssl_protocol = sslproto.SSLProtocol(self, protocol, sslcontext, waiter, server_side, server_hostname,
                                            ssl_handshake_timeout=ssl_handshake_timeout,
                                            ssl_shutdown_timeout=ssl_shutdown_timeout)
        self._make_socket_transport(rawsock, ssl_protocol, **options)
        return ssl_protocol._app_transport

    def add_signal_handler(self, sig, callback, *args):
        if self._is_private:
            self._add_python_signal(sig, callback, args)
            return
        if coroutines.iscoroutine(callback) or _iscoroutinefunction(callback):
            raise TypeError('coroutines cannot be used with add_signal_handler()')
        self._signal_handlers[sig] = self._add_signal(sig, callback, *args)

    def remove_signal_handler(self, sig):
        if not self._is_private:
            self._signal_handlers.pop(sig, None)
            return self._remove_signal(sig)
        try:
            return super().remove_signal_handler(sig)
        finally:
            self._keep_wakeup()

    def _add_python_signal(self, sig, callback, args):
        """As asyncio does it, by Python's own handlers: libevent has one loop with signals in a process, and that is the
        server's where there is one."""
        global watching
        self._check_closed()
        if self._wakeup is None:
            self._open_wakeup()
        try:
            super().add_signal_handler(sig, callback, *args)
            watching = self
        finally:
            self._keep_wakeup()

    def _check_running(self):
        self._check_home()
        super()._check_running()

    def run_forever(self):
        self._check_closed()
        self._check_running()
        self._watch_python_signals()
        try:
            super().run_forever()
        finally:
            self._unwatch_python_signals()

    def _serve(self):
        """run_forever() of a worker: the loop has a root task until _shutdown()."""
        self._life.begin()
        self.run_forever()

    def _open_wakeup(self):
        ours, theirs = self._wakeup = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        self._csock = theirs  # where asyncio's add_signal_handler() has Python write
        self._add_reader(ours.fileno(), self._read_wakeup, ours)

    def _set_wakeup(self):
        signal.set_wakeup_fd(self._wakeup[1].fileno(), warn_on_full_buffer=False)

    def _watch_python_signals(self):
        """Handlers set with signal.signal() must run while the loop waits: only where Python has them, on the main
        thread of the main interpreter."""
        try:
            before = signal.set_wakeup_fd(-1)
        except ValueError:
            return
        if before != -1:  # ours, or somebody else's; trio's guest mode, for one
            signal.set_wakeup_fd(before)
            return
        if self._wakeup is None:
            self._open_wakeup()
        self._set_wakeup()
        global watching
        watching = self

    def _keep_wakeup(self):
        """asyncio unsets it with the last handler."""
        if watching is self and not self._signal_handlers:
            if self.is_running():
                self._set_wakeup()
            else:
                self._close_wakeup()

    def _unwatch_python_signals(self):
        """Handlers of asyncio's stay until they are removed, or the loop is closed."""
        if watching is self and not (self._is_private and self._signal_handlers):
            self._close_wakeup()

    def _close_wakeup(self):
        if self._wakeup is None:
            return
        ours, theirs = self._wakeup
        self._wakeup = None
        global watching
        if watching is self:
            watching = None
            current = signal.set_wakeup_fd(-1)
            if current != theirs.fileno():
                signal.set_wakeup_fd(current)
        self._remove_reader(ours.fileno())
        for end in ours, theirs:
            try:
                end.close()
            except OSError:  # the application has closed its descriptor
                pass

    def forget_python_signals(self):
        """In a process that was forked from the loop's: its signals must not wake the parent."""
        global watching
        wakeup, self._wakeup, watching = self._wakeup, None, None
        signal.set_wakeup_fd(-1)
        if wakeup:
            self._remove_reader(wakeup[0].fileno())
        for sock in wakeup or ():
            sock.close()

    def _read_wakeup(self, sock):
        """Ends the wait: Python runs its handlers between two turns."""
        try:
            numbers = sock.recv(4096)
        except OSError:
            return
        if self._is_private:
            self._process_self_data(numbers)

    def close(self):
        if self.is_running():
            raise RuntimeError('Cannot close a running event loop')
        if self.is_closed():
            return
        super().close()
        self._close_wakeup()
        self._release()

    def _shutdown(self, seconds):
        self._life.end(seconds)
