# SPDX-License-Identifier: BSD-3-Clause
"""The package tine in a Python of its own, with no server about: loops one after the other, in threads, with signals, with
processes, forked, in debug mode, closed. Run by test_alone.py as `python -m tine.loop alone_cases.py`, and by Python itself."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import warnings

import tine
from loop_check import CASES, Skip, case, raises


def run(coroutine, **options):
    with asyncio.Runner(loop_factory=tine.new_event_loop, **options) as runner:
        return runner.run(coroutine)


def is_ours(loop):
    return type(loop).__name__ == 'Loop' and type(loop).__module__ == '_tine_loop' and isinstance(loop, asyncio.AbstractEventLoop)


def in_child(function, *args):
    """What a child process that calls this says, and its exit status."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        status = 99
        try:
            os.close(ours)
            os.write(theirs, str(function(*args)).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(theirs)
    with open(ours, 'rb') as pipe:
        said = pipe.read().decode()
    return said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def say_after(delay, text):
    await asyncio.sleep(delay)
    return text


@case
def one_after_the_other():
    async def main(number):
        assert is_ours(asyncio.get_running_loop())
        return await say_after(0.001, number)
    assert [run(main(number)) for number in range(5)] == [0, 1, 2, 3, 4]


@case
def a_loop_that_is_named():
    async def main():
        return asyncio.get_running_loop()
    if sys.version_info < (3, 12):
        raise Skip('asyncio.run() has no loop_factory')
    assert is_ours(asyncio.run(main(), loop_factory=tine.new_event_loop))


@case
def run_until_complete_stop_and_close():
    loop = tine.new_event_loop()
    assert is_ours(loop) and not loop.is_running() and not loop.is_closed()
    assert loop.run_until_complete(say_after(0, 'text')) == 'text'
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    loop.close()
    assert loop.is_closed()
    raises(RuntimeError, loop.call_soon, print, text='closed')
    coroutine = say_after(0, 'text')
    raises(RuntimeError, loop.run_until_complete, coroutine, text='closed')
    coroutine.close()


@case
def two_loops_at_once_and_descriptors_go():
    before = set(os.listdir('/proc/self/fd'))
    one, other = tine.new_event_loop(), tine.new_event_loop()
    one.call_soon(one.stop)
    other.call_soon(other.stop)
    other.run_forever()
    one.run_forever()
    one.close()
    other.close()
    assert set(os.listdir('/proc/self/fd')) == before


@case
def in_threads():
    results = []

    async def main(number):
        return await asyncio.to_thread(sum, [number, number]) + await say_after(0.01, 1)
    threads = [threading.Thread(target=lambda n=n: results.append(run(main(n)))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [1, 3, 5, 7]


@case
def called_from_another_thread():
    async def main():
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Thread(target=loop.call_soon_threadsafe, args=(done.set,))
        thread.start()
        await asyncio.wait_for(done.wait(), 30)
        thread.join()
    run(main())


@case
def streams():
    async def serve(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, '127.0.0.1', 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b'hello\n')
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
            return said
    assert run(main()) == b'HELLO\n'


@case
def subprocesses():
    async def main():
        process = await asyncio.create_subprocess_exec(sys.executable, '-c', 'import sys; print(sys.stdin.read()[::-1]); sys.exit(3)',
                                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = await process.communicate(b'abc')
        return out, process.returncode
    assert run(main()) == (b'cba\n', 3)
    thread_said = []
    thread = threading.Thread(target=lambda: thread_said.append(run(main())))
    thread.start()
    thread.join()
    assert thread_said == [(b'cba\n', 3)]


@case
def signal_handlers():
    async def main():
        loop, seen = asyncio.get_running_loop(), asyncio.Queue()
        loop.add_signal_handler(signal.SIGUSR1, seen.put_nowait, 'first')
        os.kill(os.getpid(), signal.SIGUSR1)
        assert await asyncio.wait_for(seen.get(), 30) == 'first'
        loop.add_signal_handler(signal.SIGUSR1, seen.put_nowait, 'second')
        os.kill(os.getpid(), signal.SIGUSR1)
        assert await asyncio.wait_for(seen.get(), 30) == 'second'
        assert loop.remove_signal_handler(signal.SIGUSR1) and not loop.remove_signal_handler(signal.SIGUSR1)
        raises(RuntimeError, loop.add_signal_handler, signal.SIGKILL, print, text='cannot be caught')
        # Python's own handlers, with the loop's gone: they end its wait all the same.
        signal.signal(signal.SIGUSR2, lambda number, frame: seen.put_nowait('python'))
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR2)).start()
        assert await asyncio.wait_for(seen.get(), 30) == 'python'
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    run(main())
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL and signal.set_wakeup_fd(-1) == -1


@case
def an_exception_of_a_signal_ends_the_run():
    def fail(number, frame):
        raise ValueError('as asked')
    for others in False, True:
        loop = tine.new_event_loop()
        if others:
            loop.add_signal_handler(signal.SIGUSR2, print)
        signal.signal(signal.SIGUSR1, fail)
        try:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            waiting = loop.create_future()
            loop.call_later(30, waiting.cancel)
            raises(ValueError, loop.run_until_complete, waiting, text='as asked')
            assert loop.run_until_complete(say_after(0, 'on it goes')) == 'on it goes'
        finally:
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)
            loop.close()


@case
def signal_handlers_outlive_a_run_and_go_with_the_loop():
    loop, seen = tine.new_event_loop(), []
    loop.add_signal_handler(signal.SIGUSR1, lambda: (seen.append(1), loop.stop()))
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGUSR1)
        loop.run_forever()
    assert seen == [1, 1]
    loop.close()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL and signal.set_wakeup_fd(-1) == -1


@case
def signal_handlers_are_the_main_threads():
    async def main():
        raises(RuntimeError, asyncio.get_running_loop().add_signal_handler, signal.SIGUSR1, print, text='main thread')
        said.append('refused')
    said = []
    thread = threading.Thread(target=lambda: run(main()))
    thread.start()
    thread.join()
    assert said == ['refused']


@case
def an_interrupt():
    async def main():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append('cancelled')
            raise
    ended = []
    signal.signal(signal.SIGINT, signal.default_int_handler)
    coroutine = main()
    raises(KeyboardInterrupt, run, coroutine)
    assert ended == ['cancelled']


@case
def debug_mode():
    async def main():
        loop = asyncio.get_running_loop()
        assert loop.get_debug()
        loop.slow_callback_duration = 0
        await asyncio.sleep(0)
        raises(TypeError, loop.call_soon, say_after, 1, 2, text='coroutines cannot be used')
    records = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logging.getLogger('asyncio').addHandler(handler)
    run(main(), debug=True)
    logging.getLogger('asyncio').removeHandler(handler)
    assert any(text.startswith('Executing <Task') for text in records), records


@case
def a_child_that_was_forked_in_the_loop_goes_on_with_it():
    """What was waited for is waited for in both processes. asyncio finds no running loop in the child, whatever loop it is; from
    3.14 on no task takes a step without, on asyncio's own loop neither."""
    if sys.version_info >= (3, 14):
        raise Skip
    async def main():
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        got, late = loop.create_future(), loop.create_future()
        loop.add_reader(ours, lambda: got.done() or got.set_result(ours.recv(10)))
        loop.call_later(0.05, late.set_result, 'late')
        out, into = os.pipe()
        child = os.fork()
        if not child:
            theirs.send(b'child')
            os.write(into, await got + (await late).encode())
            os._exit(0)
        os.close(into)
        with open(out, 'rb') as pipe:
            said = pipe.read()
        status = os.waitpid(child, 0)[1]
        theirs.send(b'parent')
        parent = await asyncio.wait_for(got, 30), await asyncio.wait_for(late, 30)
        loop.remove_reader(ours)
        return said, status, parent
    assert run(main()) == (b'childlate', 0, (b'parent', 'late'))


@case
def a_loop_from_before_a_fork_works_in_parent_and_child():
    loop = tine.new_event_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    seen = []
    loop.add_reader(ours, lambda: (seen.append(ours.recv(10)), loop.stop()))

    def use():
        assert loop.run_until_complete(say_after(0.01, 'late')) == 'late'
        theirs.send(b'x')
        loop.run_forever()
        loop.close()
        return seen.pop()
    assert in_child(use) == ("b'x'", 0)
    assert use() == b'x'


@case
def a_child_has_new_loops_and_returns_from_them():
    assert in_child(lambda: run(say_after(0.01, 'here'))) == ('here', 0)


@case
def a_file_that_cannot_be_watched_is_an_exception():
    async def main():
        with open(__file__) as file:
            raises(PermissionError, asyncio.get_running_loop().add_reader, file, print)
    run(main())


@case
def the_version():
    assert tine.__version__ == os.environ['TINE_VERSION'], tine.__version__


def main():
    warnings.filterwarnings('ignore', 'This process .* is multi-threaded, use of fork', DeprecationWarning)
    failed = 0
    for function in CASES:
        with contextlib.suppress(Skip):
            try:
                function()
            except Skip:
                raise
            except BaseException:
                failed += 1
                print(f'FAIL {function.__name__}', flush=True)
                sys.excepthook(*sys.exc_info())
    print(f'{len(CASES) - failed} passed, {failed} failed')


if __name__ == '__main__':
    main()
