"""R77 and R78: the test kit, keys and cancelling.

The cases: R77, R78.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from afterwork import AfterMiddleware, Deferred, after
from afterwork.testing import capture, drain, immediate, scope
from tests.support import answering, call, lifespan


def test_r77_immediate_runs_at_the_call_and_restores_the_queue() -> None:
    order: list[int] = []

    with scope():
        after(order.append, 1)
        with immediate():
            after(order.append, 2)
            assert order == [2]

    assert order == [2, 1]


def test_r77_capture_records_without_running() -> None:
    ran: list[int] = []

    with capture() as calls:
        after.options(key="k")(ran.append, 1)

    assert ran == []
    assert calls[0].fn == ran.append
    assert calls[0].args == (1,)
    assert calls[0].kwargs == {}
    assert calls[0].key == "k"
    assert calls.names == ["list.append"]


def test_r77_capture_with_execute_runs_nested_ones_until_none_is_left() -> None:
    ran: list[int] = []

    def nesting(depth: int) -> None:
        ran.append(depth)
        if depth:
            after(nesting, depth - 1)

    with capture(execute=True) as calls:
        after(nesting, 3)
        assert ran == []

    assert ran == [3, 2, 1, 0]
    assert len(calls) == 4


async def test_r77_drain_makes_assertions_deterministic() -> None:
    ran: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        ran.append("work")

    app = AfterMiddleware(answering(lambda: after(work) and None))
    async with lifespan(app):
        await call(app)
        await drain()
        assert ran == ["work"]


def test_r77_scope_lets_a_unit_test_call_code_without_a_server() -> None:
    ran: list[str] = []

    with scope():
        after(ran.append, "x")
        assert ran == []

    assert ran == ["x"]


async def test_r78_of_two_callbacks_with_a_key_the_last_runs_in_the_later_position() -> None:
    ran: list[str] = []

    def handler() -> None:
        keyed = after.options(key="k")
        first = keyed(ran.append, "k1")
        after.options(key="other")(ran.append, "other")
        keyed(ran.append, "k2")
        assert first.done

    await call(AfterMiddleware(answering(handler), sequential=True))

    assert ran == ["other", "k2"]


async def test_r78_a_key_that_has_started_is_not_replaced() -> None:
    """Decided: both run, since the first can no longer be taken back."""
    ran: list[str] = []

    def first() -> None:
        after.options(key="k")(ran.append, "second")
        ran.append("first")

    await call(AfterMiddleware(answering(lambda: after.options(key="k")(first) and None)))

    assert sorted(ran) == ["first", "second"]


async def test_r78_cancelling_before_the_drain_is_true_and_after_it_false() -> None:
    ran: list[str] = []
    handles: list[Deferred] = []

    def handler() -> None:
        after.options(key="by key")(ran.append, "by key")
        assert after.cancel("by key") is True
        assert after.cancel("by key") is False
        assert after.cancel("unknown") is False
        by_handle = after(ran.append, "by handle")
        states = [by_handle.done, by_handle.cancel(), by_handle.done, by_handle.cancel()]
        assert states == [False, True, True, False]
        handles.append(after(ran.append, "runs"))

    await call(AfterMiddleware(answering(handler)))

    assert ran == ["runs"]
    assert handles[0].done
    assert handles[0].cancel() is False


async def test_r78_cancelling_by_key_where_nothing_was_queued_is_false() -> None:
    seen: list[bool] = []

    await call(AfterMiddleware(answering(lambda: seen.append(after.cancel("k")))))

    assert seen == [False]


async def test_a_handle_tells_its_name_and_state() -> None:
    handles: list[Deferred] = []

    def handler() -> None:
        handle = after.options(name="receipt", key="r")(print, end="")
        assert repr(handle) == "<Deferred receipt queued>"
        assert (handle.name, handle.key) == ("receipt", "r")
        handles.append(handle)

        @after
        async def decorated() -> None: ...

        assert decorated.name.endswith("decorated")

    await call(AfterMiddleware(answering(handler)))

    assert repr(handles[0]) == "<Deferred receipt succeeded>"


async def test_leaving_a_plain_block_under_a_running_loop_says_what_to_write() -> None:
    ran: list[Any] = []
    with pytest.raises(RuntimeError, match="async with"), scope():
        after(ran.append, 1)
    with pytest.raises(RuntimeError, match="async with"), capture(execute=True):
        after(ran.append, 1)
    assert ran == []
