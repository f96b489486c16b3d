"""On trio the drain runs inside the ASGI call; the rules are the same."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
import trio

from afterwork import AfterMiddleware, Retry, Run, after, current_run
from afterwork._loop_trio import current_trio_loop
from afterwork.testing import FakeHost, scope
from tests.support import Wire, answering, events, fields, http_scope

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send


def serve(handler: Callable[[], Any], **settings: Any) -> Wire:
    """One request on a trio loop, until its ASGI call is over."""
    wire = Wire(http_scope())

    async def main() -> None:
        with trio.fail_after(5):
            app = AfterMiddleware(answering(handler), **settings)
            await app(wire.scope, wire.receive, wire.send)

    trio.run(main)
    return wire


def test_callbacks_start_in_order_after_the_response_and_all_end() -> None:
    started: list[int] = []
    ended: list[int] = []

    async def work(number: int) -> None:
        started.append(number)
        await trio.sleep(0.001)
        ended.append(number)

    def handler() -> None:
        for number in range(10):
            after(work, number)

    assert serve(handler).status == 200
    assert started == list(range(10))
    assert sorted(ended) == list(range(10))


def test_sync_nested_failing_and_timed_out_callbacks_behave_as_on_asyncio(caplog: Any) -> None:
    seen: list[Run] = []
    ran: list[str] = []

    async def nesting() -> None:
        await trio.sleep(0)
        after(ran.append, "nested")

    def nesting_sync() -> None:
        after(ran.append, "nested in a thread")

    async def fail() -> None:
        raise RuntimeError("no")

    def handler() -> None:
        after(nesting)
        after(nesting_sync)
        after(fail)
        after.options(timeout=0.01)(trio.sleep_forever)
        after.options(timeout=5)(trio.sleep, 0)
        after(lambda: trio.sleep(0))  # returns a coroutine

    serve(handler, reporters=[seen.append])

    assert sorted(ran) == ["nested", "nested in a thread"]
    outcomes = [str(run.outcome) for run in seen]
    assert sorted(outcomes) == ["failed", *["succeeded"] * 6, "timed_out"]


def test_retries_wait_without_holding_the_limit() -> None:
    log: list[str] = []

    async def flaky() -> None:
        log.append(f"attempt {current_run().attempt}")
        if current_run().attempt == 1:
            raise RuntimeError

    def handler() -> None:
        after.options(retry=Retry(2, delay=0.02))(flaky)
        after(log.append, "sibling")

    serve(handler, limit=1)

    assert log == ["attempt 1", "sibling", "attempt 2"]


def test_the_budget_cuts_what_is_left(caplog: Any) -> None:
    seen: list[Run] = []

    def handler() -> None:
        after(trio.sleep_forever)
        after(lambda: None)

    serve(handler, budget=0.03, reporters=[seen.append])

    assert sorted(str(run.outcome) for run in seen) == ["cancelled", "succeeded"]
    assert fields(caplog, "after.dropped")["reason"] == "deadline"


def test_a_budget_that_is_not_needed_holds_up_nothing() -> None:
    started = trio_time()
    serve(lambda: after(lambda: None) and None, budget=60)
    assert trio_time() - started < 5


def test_a_server_that_cancels_the_call_does_not_stop_the_callback() -> None:
    ended: list[str] = []

    async def work() -> None:
        await trio.sleep(0.02)
        ended.append("work")

    async def main() -> None:
        app = AfterMiddleware(answering(lambda: after(work) and None))
        with trio.move_on_after(0.005) as server:
            await app(http_scope(), Wire({}).receive, Wire({}).send)
        assert server.cancelled_caught

    trio.run(main)

    assert ended == ["work"]


def test_the_patience_with_a_server_that_cancels_has_an_end(caplog: Any) -> None:
    async def main() -> None:
        app = AfterMiddleware(answering(lambda: after(trio.sleep_forever) and None), grace=0.01)
        with trio.move_on_after(0.005) as server:
            await app(http_scope(), Wire({}).receive, Wire({}).send)
        assert server.cancelled_caught

    trio.run(main)

    assert fields(caplog, "after.dropped")["reason"] == "cancelled by the server"


def test_a_host_is_handed_something_to_await() -> None:
    ran: list[str] = []

    async def work() -> None:
        await trio.sleep(0)
        ran.append("work")

    async def main() -> None:
        host = FakeHost()
        app = AfterMiddleware(answering(lambda: after(work) and None), host=host)
        await app(http_scope(), Wire({}).receive, Wire({}).send)
        handed: Awaitable[None] = host.handed[0]
        await handed

    trio.run(main)

    assert ran == ["work"]


def test_before_end_works_here_too() -> None:
    log: list[str] = []
    wire = Wire(http_scope(), log=log)

    async def work() -> None:
        log.append("work")

    async def main() -> None:
        app = AfterMiddleware(answering(lambda: after(work) and None), host="before_end")
        await app(wire.scope, wire.receive, wire.send)

    trio.run(main)

    assert log == ["http.response.start", "work", "http.response.body"]


def test_early_is_as_early_as_trio_allows() -> None:
    """A task cannot be started before something waits for it: that is when the app has returned."""
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after.options(early=True)(log.append, "early")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        log.append("app returns")

    async def main() -> None:
        await AfterMiddleware(app)(http_scope(), Wire({}).receive, Wire({}).send)

    trio.run(main)

    assert log == ["app returns", "early"]


def test_the_lifespan_is_held_back_for_callbacks() -> None:
    log: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            log.append("the app shuts down")
            await send({"type": "lifespan.shutdown.complete"})
            return
        after(work)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def work() -> None:
        await trio.sleep(0.02)
        log.append("callback")

    async def main() -> None:
        app = AfterMiddleware(inner)
        told, tell = trio.open_memory_channel[Any](5), []
        started = trio.Event()

        async def send(message: Any) -> None:
            tell.append(message["type"])
            started.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, {"type": "lifespan"}, told[1].receive, send)
            told[0].send_nowait({"type": "lifespan.startup"})
            await started.wait()
            nursery.start_soon(app, http_scope(), Wire({}).receive, Wire({}).send)
            await trio.testing.wait_all_tasks_blocked(0.002)
            told[0].send_nowait({"type": "lifespan.shutdown"})

    with_testing = __import__("trio.testing")
    assert with_testing
    trio.run(main)

    assert log == ["callback", "the app shuts down"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_interrupts_are_for_the_process(error: type[BaseException]) -> None:
    def stop() -> None:
        raise error

    with pytest.raises(BaseExceptionGroup) as caught:
        serve(lambda: after(stop) and None)
    assert caught.group_contains(error)


def test_a_test_scope_works_on_trio() -> None:
    ran: list[str] = []

    async def main() -> None:
        async with scope():
            after(ran.append, "x")

    trio.run(main)

    assert ran == ["x"]


def test_a_trio_loop_keeps_the_whole_protocol_of_a_loop() -> None:
    async def main() -> None:
        loop = current_trio_loop()
        assert loop is not None
        with trio.CancelScope() as scope:
            scope.cancel()
            await loop.outlast(loop.signal(), 0.001)
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as error:
                assert loop.is_cancellation(error)
                raise
        assert not loop.is_cancellation(None)

    trio.run(main)


def test_where_trio_does_not_run_there_is_no_loop() -> None:
    assert current_trio_loop() is None


def test_signals_may_come_after_the_loop_is_over() -> None:
    kept: list[Any] = []

    async def main() -> None:
        loop = current_trio_loop()
        assert loop is not None
        kept.extend([loop.signal(), loop])

    trio.run(main)
    kept[0].set()
    kept[1].soon(print)


def test_a_thread_that_outlives_the_loop_ends_quietly(caplog: Any) -> None:
    release, left = threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(5)
        left.set()

    serve(lambda: after(slow) and None, budget=0.01)
    release.set()
    assert left.wait(5)
    assert events(caplog) == ["after.dropped", "run.abandoned"]


def trio_time() -> float:
    import time

    return time.monotonic()
