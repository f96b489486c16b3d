"""R15 to R25: in what order callbacks start, how many at a time, and what nesting means.

The cases: R15, R16, R17, R18, R19, R20, R21, R22, R23, R24, R25.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import AfterMiddleware, after
from afterwork.errors import LimitReachedError
from afterwork.testing import FakeHost, drain
from tests.support import answering, call, events, lifespan, until

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send


class Gate:
    """Async callbacks that note their start and wait to be let through."""

    def __init__(self) -> None:
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self.most = 0
        self.open = asyncio.Event()

    async def __call__(self, name: Any) -> None:
        self.started.append(name)
        self.most = max(self.most, len(self.started) - len(self.ended))
        await self.open.wait()
        self.ended.append(name)


async def test_r15_callbacks_start_in_the_order_queued() -> None:
    gate = Gate()
    gate.open.set()

    await call(AfterMiddleware(answering(lambda: [after(gate, name) for name in "abc"])))

    assert gate.started == ["a", "b", "c"]


async def test_r16_callbacks_of_a_request_run_concurrently() -> None:
    gate = Gate()
    app = AfterMiddleware(answering(lambda: [after(gate, name) for name in "ab"]))

    async with lifespan(app):
        await call(app)
        await until(lambda: gate.started == ["a", "b"])
        assert gate.ended == []
        gate.open.set()


async def test_r17_sequential_callbacks_take_turns() -> None:
    log: list[str] = []

    async def slow(name: str) -> None:
        log.append(f"{name} starts")
        await asyncio.sleep(0)
        log.append(f"{name} ends")

    def handler() -> None:
        after(slow, "a")
        after(log.append, "b")  # in a thread
        after(slow, "c")

    await call(AfterMiddleware(answering(handler), sequential=True))

    assert log == ["a starts", "a ends", "b", "c starts", "c ends"]


async def test_r17_a_withdrawn_callback_gives_its_turn_to_the_next() -> None:
    log: list[str] = []

    def handler() -> None:
        def first() -> None:
            assert second.cancel()

        after(first)
        second = after(log.append, "second")
        after(log.append, "third")

    await call(AfterMiddleware(answering(handler), sequential=True))

    assert log == ["third"]


async def test_r17_a_nested_callback_takes_its_turn_at_the_end() -> None:
    log: list[str] = []

    def handler() -> None:
        def first() -> None:
            after(log.append, "nested")

        after(first)
        after(log.append, "second")

    await call(AfterMiddleware(answering(handler), sequential=True))

    assert log == ["second", "nested"]


async def test_r18_there_is_no_last_in_first_out_mode() -> None:
    """R18 asks for an order only where such a mode is offered; it is not."""
    with pytest.raises(TypeError, match="no setting 'lifo'"):
        AfterMiddleware(answering(lambda: None), lifo=True)  # type: ignore[call-arg]


@pytest.mark.parametrize(("limit", "most"), [(1, 1), (2, 2), (None, 5)])
async def test_r19_the_limit_bounds_how_many_run_at_a_time(limit: int | None, most: int) -> None:
    gate = Gate()
    gate.open.set()
    release = asyncio.Event()

    async def work(name: int) -> None:
        gate.started.append(name)
        gate.most = max(gate.most, len(gate.started) - len(gate.ended))
        await release.wait() if limit is None else await asyncio.sleep(0)
        gate.ended.append(name)

    app = AfterMiddleware(answering(lambda: [after(work, n) for n in range(5)]), limit=limit)
    async with lifespan(app):
        await call(app)
        if limit is None:
            await until(lambda: len(gate.started) == 5)
            release.set()
        await drain()

    assert gate.most == most
    assert gate.ended == [0, 1, 2, 3, 4]


async def test_r19_the_limit_holds_for_threads_too() -> None:
    running: set[int] = set()
    most: list[int] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        with lock:
            running.add(number)
            most.append(len(running))
        threading.Event().wait(0.002)
        with lock:
            running.discard(number)

    app = AfterMiddleware(answering(lambda: [after(work, n) for n in range(12)]), limit=3)
    await call(app)

    assert len(most) == 12
    assert max(most) <= 3


async def test_r20_policy_wait_starts_it_later_and_says_so_once(caplog: Any) -> None:
    gate = Gate()
    app = AfterMiddleware(answering(lambda: [after(gate, n) for n in range(3)]), limit=1)

    async with lifespan(app):
        await call(app)
        await call(app)
        await until(lambda: gate.started == [0])
        gate.open.set()
        await drain()

    assert gate.started == [0, 1, 2, 0, 1, 2]
    assert events(caplog).count("after.saturated") == 1


async def test_r20_policy_reject_raises_at_the_call_over_all_requests() -> None:
    gate = Gate()
    rejected: list[str] = []

    def handler() -> None:
        try:
            after(gate, "x")
        except LimitReachedError as error:
            assert error.limit == 2
            rejected.append(str(error))

    app = AfterMiddleware(answering(handler), limit=2, at_limit="reject")
    async with lifespan(app):
        for _ in range(3):
            await call(app)
        assert len(rejected) == 1
        assert "503" in rejected[0]
        gate.open.set()
        await drain()
        await call(app)
        await drain()

    assert gate.ended == ["x", "x", "x"]


async def test_r21_a_nested_callback_starts_without_waiting_for_siblings() -> None:
    host = FakeHost()
    gate = Gate()
    nested = asyncio.Event()

    async def note() -> None:
        nested.set()

    async def nesting() -> None:
        after(note)

    def handler() -> None:
        after(gate, "sibling")
        after(nesting)

    await call(AfterMiddleware(answering(handler), host=host))
    await asyncio.wait_for(nested.wait(), 5)
    assert not host.handed[0].done()  # type: ignore[attr-defined]
    gate.open.set()
    await host.settle()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_r22_the_drain_ends_when_a_chain_of_five_is_over(kind: str) -> None:
    host = FakeHost()
    ran: list[int] = []

    def sync(depth: int) -> None:
        ran.append(depth)
        if depth < 5:
            after(sync, depth + 1)

    async def asynchronous(depth: int) -> None:
        await asyncio.sleep(0)
        ran.append(depth)
        if depth < 5:
            after(asynchronous, depth + 1)

    def handler() -> None:
        if kind == "sync":
            after(sync, 1)
        else:
            after(asynchronous, 1)

    await call(AfterMiddleware(answering(handler), host=host))
    await host.settle()

    assert ran == [1, 2, 3, 4, 5]
    assert len(host.handed) == 1


async def test_r23_a_passed_task_may_queue_more_after_the_response() -> None:
    host = FakeHost()
    log: list[str] = []
    go = asyncio.Event()

    async def task() -> None:
        await go.wait()
        after(log.append, "callback")
        log.append("after() returned")

    def handler() -> None:
        after(asyncio.ensure_future(task()))

    await call(AfterMiddleware(answering(handler), host=host))
    go.set()
    await host.settle()

    assert log == ["after() returned", "callback"]


async def test_r24_a_streaming_body_may_queue_and_it_runs_after_the_last_chunk() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        after(log.append, "callback")
        await send({"type": "http.response.body", "body": b"2", "more_body": True})
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"3"})

    await call(AfterMiddleware(app), log=log)

    assert log == ["http.response.start", *["http.response.body"] * 3, "callback"]


async def test_r25_the_drain_waits_for_an_awaitable_that_resolves_later() -> None:
    host = FakeHost()
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    await call(AfterMiddleware(answering(lambda: after(future) and None), host=host))
    drained = asyncio.ensure_future(host.settle())
    await asyncio.sleep(0)
    assert not drained.done()
    asyncio.get_running_loop().call_later(0.05, future.set_result, None)
    await drained
    assert future.done()


async def test_a_first_call_made_after_the_response_still_runs_on_a_server_that_goes_on() -> None:
    """DESIGN rule 5: by something that was not handed over, on a request that queued nothing."""
    ran: list[str] = []
    go = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def stray() -> None:
        await go.wait()
        after(ran.append, "late")

    app = AfterMiddleware(answering(lambda: tasks.append(asyncio.ensure_future(stray()))))
    async with lifespan(app):
        await call(app)
        go.set()
        await tasks[0]
        await drain()

    assert ran == ["late"]


async def test_a_first_call_made_too_late_for_the_platform_raises() -> None:
    from afterwork.errors import QueueClosedError

    go = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def stray() -> None:
        await go.wait()
        with pytest.raises(QueueClosedError, match="too late"):
            after(print)

    app = AfterMiddleware(
        answering(lambda: tasks.append(asyncio.ensure_future(stray()))), host=FakeHost()
    )
    await call(app)
    go.set()
    await tasks[0]
