# SPDX-License-Identifier: BSD-3-Clause
"""Ready awaitables in the hands of await, asyncio and abuse."""

import asyncio
import collections.abc
import gc
import inspect
import warnings
import weakref

import _tine_test
import differ

loop = asyncio.get_event_loop()
run = loop.run_until_complete


class Value:
    pass


def raised(function, *args):
    try:
        function(*args)
    except BaseException as e:
        return e
    raise AssertionError("nothing was raised")


async def wait_for(awaitable):
    return await awaitable


def test_await():
    async def main():
        for value in (1, None, (1, 2), ValueError("a value"), {"type": "http.request"}):
            assert await _tine_test.value(value) is value
        assert await _tine_test.none() is None
        error = KeyError("k")
        try:
            await _tine_test.raises(error)
        except KeyError as e:
            assert e is error

    run(main())

def test_await_does_not_suspend():
    coro = wait_for(_tine_test.value(3))
    assert raised(coro.send, None).value == 3


def test_awaited_twice():
    ready = _tine_test.value(1)
    assert run(wait_for(ready)) == 1
    assert "cannot reuse already awaited" in str(raised(run, wait_for(ready)))
    ready = _tine_test.raises(KeyError())
    assert type(raised(run, wait_for(ready))) is KeyError
    assert type(raised(run, wait_for(ready))) is RuntimeError


def test_none_is_one_object_for_ever():
    none = _tine_test.none()
    assert none is _tine_test.none()
    for _ in range(3):
        assert run(wait_for(none)) is None
        none.close()
        assert type(raised(none.throw, KeyError("k"))) is KeyError
        assert none.send is not None and raised(none.send, None).value is None


def test_looks_like_a_coroutine():
    for ready in (_tine_test.value(1), _tine_test.none(), _tine_test.raises(KeyError())):
        assert asyncio.iscoroutine(ready) and inspect.isawaitable(ready)
        assert isinstance(ready, collections.abc.Coroutine) and isinstance(ready, collections.abc.Awaitable)
        assert iter(ready) is ready and ready.__await__() is ready
        assert not ready.cr_running and not ready.cr_suspended and ready.__name__ and ready.__qualname__
        assert inspect.getcoroutinestate(ready) == inspect.CORO_CLOSED


def test_asyncio_takes_it():
    async def main():
        value = _tine_test.value
        assert await asyncio.create_task(value(1)) == 1
        assert await asyncio.ensure_future(value(2)) == 2
        assert await asyncio.gather(value(3), value(4), _tine_test.none()) == [3, 4, None]
        assert await asyncio.wait_for(value(5), 1) == 5
        assert await asyncio.shield(value(6)) == 6
        done, _ = await asyncio.wait([asyncio.create_task(value(7))])
        assert [t.result() for t in done] == [7]
        async with asyncio.TaskGroup() as group:
            task = group.create_task(value(8))
        assert task.result() == 8
        assert (await asyncio.gather(_tine_test.raises(KeyError("k")), return_exceptions=True))[0].args == ("k",)
        task = asyncio.create_task(value(9))
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert task.cancelled()
        assert "Ready" in repr(asyncio.create_task(_tine_test.none()))

    run(main())


def test_yield_from():
    def generator(ready):
        return (yield from ready)

    assert raised(next, generator(_tine_test.value((1, 2)))).value == (1, 2)


def test_send_and_next():
    assert raised(_tine_test.value(5).send, None).value == 5
    assert raised(next, _tine_test.value(6)).value == 6
    assert raised(_tine_test.value((1,)).send, None).value == (1,)
    error = ValueError()
    assert raised(_tine_test.value(error).send, None).value is error
    assert type(raised(_tine_test.value(5).send, 1)) is TypeError


def test_throw():
    ready = _tine_test.value(1)
    error = KeyError("k")
    assert raised(ready.throw, error) is error
    assert type(raised(ready.throw, error)) is RuntimeError
    assert raised(_tine_test.value(1).throw, KeyError).args == ()
    assert raised(_tine_test.value(1).throw, KeyError, "a").args == ("a",)
    assert raised(_tine_test.value(1).throw, KeyError, ("a", "b")).args == ("a", "b")
    assert raised(_tine_test.value(1).throw, KeyError, error, None) is error
    for args in ((), (1,), (KeyError, 1, 2), (error, 1), (int,), (KeyError, 1, None, 4)):
        assert type(raised(_tine_test.value(1).throw, *args)) is TypeError, args


def test_close():
    ready = _tine_test.value(1)
    assert ready.close() is None
    assert type(raised(run, wait_for(ready))) is RuntimeError
    assert ready.close() is None


def test_dropped_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(1000):
            _tine_test.value({})
            _tine_test.raises(KeyError())
        gc.collect()


def test_values_are_let_go():
    value = Value()
    seen = weakref.ref(value)
    ready = _tine_test.value(value)
    assert run(wait_for(ready)) is value
    del value
    assert seen() is None
    value = Value()
    seen = weakref.ref(value)
    ready = _tine_test.value(value)
    del value
    del ready
    assert seen() is None


def test_cycles_are_collected():
    value = Value()
    value.ready = _tine_test.value(value)
    seen = weakref.ref(value)
    del value
    gc.collect()
    assert seen() is None


def test_cannot_be_made_in_python():
    assert type(raised(type(_tine_test.none()))) is TypeError


def test_many_at_once():
    many = [_tine_test.value(n) for n in range(1000)]

    async def main():
        return sum([await ready for ready in many])

    assert run(main()) == sum(range(1000))
    many.clear()
    assert run(wait_for(_tine_test.value(1))) == 1


if __name__ == "__main__":
    differ.main(globals())
