"""Corners in which callbacks were once lost, run wrongly or hung. Each test says the rule."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import AsyncMock, MagicMock, Mock

import anyio
import pytest

import afterwork
from afterwork import AfterMiddleware, Retry, Run, after, current_run
from afterwork.errors import (
    HostUnavailableError,
    InvalidCallbackError,
    InvalidOptionError,
    LimitReachedError,
    NoRequestError,
    QueueClosedError,
)
from afterwork.testing import FakeHost, capture, drain, immediate, scope
from tests.support import Life, Wire, answering, call, events, http_scope, lifespan, respond, until

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send
    from afterwork._threads import Threads

who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="lost")


async def test_taking_back_the_one_whose_turn_it_is_gives_the_turn_on() -> None:
    ran: list[str] = []
    handles: list[Any] = []

    async def fail() -> None:
        raise RuntimeError

    def handler() -> None:
        handles.append(after.options(retry=Retry(2, delay=5, jitter=False))(fail))
        after(ran.append, "next")

    app = AfterMiddleware(answering(handler), sequential=True)
    async with lifespan(app):
        await call(app)
        await until(lambda: handles[0].attempt == 2)
        assert handles[0].cancel()
        await drain()

    assert ran == ["next"]


async def test_a_condition_holds_for_nested_and_early_callbacks_too() -> None:
    ran: list[str] = []

    async def outer() -> None:
        after.options(on="error")(ran.append, "error")
        after.options(on="success")(ran.append, "success")

    def handler() -> None:
        after(outer)
        after.options(early=True)(outer)

    await call(AfterMiddleware(answering(handler)))

    assert ran == ["success", "success"]


async def test_what_an_early_callback_queues_is_early() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after.options(early=True)(lambda: after(log.append, "nested"))
        await respond(send)
        await until(lambda: log == ["nested"])
        log.append("app returns")

    await call(AfterMiddleware(app))

    assert log == ["nested", "app returns"]


async def test_a_callback_that_waits_for_a_thread_has_not_started() -> None:
    """Its timeout runs from its start, and it keeps its context."""
    seen: list[str] = []
    runs: list[Run] = []

    def slow() -> None:
        seen.append(who.get())
        threading.Event().wait(0.06)

    def handler() -> None:
        who.set("ada")
        for _ in range(4):
            after(slow)

    app = AfterMiddleware(answering(handler), threads=1, timeout=0.15, reporters=[runs.append])
    await call(app)

    assert seen == ["ada"] * 4
    assert [run.outcome for run in runs] == ["succeeded"] * 4


async def test_a_callback_that_was_cut_while_it_waited_for_a_thread_never_runs() -> None:
    ran: list[int] = []
    runs: list[Run] = []
    release = threading.Event()

    def slow(number: int) -> None:
        ran.append(number)
        release.wait(5)

    app = AfterMiddleware(
        answering(lambda: [after(slow, number) for number in range(3)]),
        threads=1,
        budget=0.03,
        reporters=[runs.append],
    )
    await call(app)
    release.set()
    await call(AfterMiddleware(answering(lambda: after(ran.append, 9) and None), threads=1))

    assert ran == [0, 9]
    assert sorted(str(run.outcome) for run in runs) == ["abandoned", "cancelled", "cancelled"]
    assert cast("Threads", app.pipeline._threads).alive == 1


async def test_a_coroutine_returned_after_its_run_had_timed_out_does_not_run() -> None:
    release, returned = threading.Event(), threading.Event()
    ran: list[str] = []

    async def late() -> None:
        ran.append("late")

    def slow() -> Any:
        release.wait(5)
        returned.set()
        return late()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        app = AfterMiddleware(answering(lambda: after(slow) and None), timeout=0.02)
        await call(app)
        release.set()
        await asyncio.to_thread(returned.wait, 5)
        await asyncio.sleep(0.01)
        gc.collect()

    assert ran == []


async def test_first_calls_from_several_threads_share_one_queue() -> None:
    ran: list[int] = []
    barrier = threading.Barrier(4)

    def endpoint(number: int) -> None:
        barrier.wait(5)
        after(ran.append, number)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.gather(*(asyncio.to_thread(endpoint, number) for number in range(4)))
        await respond(send)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            await call(AfterMiddleware(app))
    finally:
        sys.setswitchinterval(interval)

    assert len(ran) == 240


async def test_a_refused_late_call_leaves_no_queue_for_the_shutdown_to_wait_for() -> None:
    go = asyncio.Event()
    strays: list[asyncio.Task[None]] = []

    async def stray() -> None:
        await go.wait()
        with pytest.raises(QueueClosedError):
            after(print)

    app = AfterMiddleware(
        answering(lambda: strays.append(asyncio.ensure_future(stray()))), host=FakeHost()
    )
    async with lifespan(app):
        await call(app)
        go.set()
        await strays[0]
        assert not app.pipeline.queues


async def test_the_collector_may_close_a_dropped_request_while_a_callback_is_queued() -> None:
    """It runs whenever it likes, also under our lock."""

    class Never:
        def __await__(self) -> Any:
            yield

    def drop() -> None:
        app = AfterMiddleware(answering(lambda: after(print) and Never()))
        coroutine = app(http_scope(), Wire({}).receive, Wire({}).send)
        contextvars.Context().run(coroutine.send, None)
        cycle: list[Any] = [coroutine]
        cycle.append(cycle)

    from afterwork._work import LOCK

    drop()
    with LOCK:
        gc.collect()


async def test_any_number_of_early_callbacks_is_one_watch() -> None:
    ran: list[int] = []

    def handler() -> None:
        for number in range(2000):
            after.options(early=True)(ran.append, number)

    wire = await call(AfterMiddleware(answering(handler)))

    assert wire.status == 200
    assert len(ran) == 2000


@pytest.mark.parametrize("mock", [Mock(), MagicMock(), AsyncMock()])
async def test_a_mock_is_a_callback_like_any_other(mock: Any) -> None:
    await call(AfterMiddleware(answering(lambda: after(mock, 1) and None)))

    mock.assert_called_once_with(1)


async def test_an_old_task_factory_that_knows_no_context_gets_the_right_one() -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append(who.get())

    def handler() -> None:
        who.set("ada")
        after(work)
        who.set("changed")

    loop = asyncio.get_running_loop()
    app = AfterMiddleware(answering(handler))
    async with lifespan(app):
        request = asyncio.create_task(call(app))
        loop.set_task_factory(lambda loop, coroutine: asyncio.Task(coroutine, loop=loop))
        try:
            await request
            await drain()
        finally:
            loop.set_task_factory(None)

    assert seen == ["ada"]


async def test_a_task_factory_that_fails_costs_its_callback_and_nothing_else(caplog: Any) -> None:
    async def work() -> None: ...

    def broken(loop: Any, coroutine: Any, **keywords: Any) -> Any:
        coroutine.close()
        raise TypeError("factory")

    loop = asyncio.get_running_loop()
    app = AfterMiddleware(answering(lambda: after(work) and None))
    async with lifespan(app):

        async def direct() -> None:
            await app(http_scope(), Wire({}).receive, Wire({}).send)

        request = asyncio.create_task(direct())
        loop.set_task_factory(broken)
        try:
            await request
        finally:
            loop.set_task_factory(None)
        assert not app.pipeline.queues

    assert "run.failed" in events(caplog)


@pytest.mark.parametrize("error", [asyncio.CancelledError, pytest.fail.Exception])
async def test_no_reporter_can_keep_a_callback_from_ending(
    error: type[BaseException], caplog: Any
) -> None:
    def reporter(run: Run) -> None:
        raise error("reporter")

    app = AfterMiddleware(answering(lambda: after(print, end="") and None), reporters=[reporter])
    await call(app)

    assert "reporter.failed" in events(caplog)
    assert not app.pipeline.queues


def test_an_interrupt_in_a_reporter_is_for_the_process_and_the_callback_is_over() -> None:
    def reporter(run: Run) -> None:
        raise KeyboardInterrupt

    with scope(reporters=[reporter]) as block, pytest.raises(KeyboardInterrupt), immediate():
        after(print, end="")
    assert block._exchange.queue is not None
    assert not block._exchange.queue.live


def test_a_long_line_at_the_limit_ends_when_the_loop_is_closed(caplog: Any) -> None:
    release, left = threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(5)

    def handler() -> None:
        after(slow)
        for _ in range(1500):
            after(print)

    app = AfterMiddleware(answering(handler), limit=1, reporters=[lambda run: count(run)])
    outcomes: list[str] = []

    def count(run: Run) -> None:
        outcomes.append(str(run.outcome))
        if len(outcomes) == 1501:
            left.set()

    async def main() -> None:
        life = Life(app)
        await life.startup()
        await call(app)
        assert life.task is not None
        life.task.cancel()

    asyncio.run(main())
    release.set()
    assert left.wait(10)
    assert outcomes.count("cancelled") == 1500


async def test_in_a_nested_lifespan_there_is_no_request_either() -> None:
    refused: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for answer in ("startup", "shutdown"):
            await receive()
            try:
                after(print)
            except NoRequestError:
                refused.append(True)
            await send({"type": f"lifespan.{answer}.complete"})

    async with lifespan(AfterMiddleware(AfterMiddleware(app))):
        pass

    assert refused == [True, True]


async def test_a_host_that_an_adapter_puts_into_every_scope_does_not_cost_the_lifespan() -> None:
    ended: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        ended.append("work")

    app = AfterMiddleware(answering(lambda: after(work) and None))

    async def adapter(scope: Scope, receive: Receive, send: Send) -> None:
        scope["afterwork"] = FakeHost("detached")
        await app(scope, receive, send)

    async with lifespan(adapter):
        await call(adapter)

    assert ended == ["work"]


async def test_what_is_queued_after_a_cut_is_not_part_of_it() -> None:
    runs: dict[str, str] = {}
    abandoned: list[Run] = []
    may_end = asyncio.Event()

    async def cleanup() -> None:
        await may_end.wait()

    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            after.options(name="cleanup")(cleanup)
            asyncio.get_running_loop().call_later(0.4, may_end.set)

    def note(run: Run) -> None:
        runs[run.name] = str(run.outcome)

    app = AfterMiddleware(
        answering(lambda: after.options(name="endless")(endless) and None),
        budget=0.02,
        reporters=[note],
        on_abandon=abandoned.extend,
    )
    await call(app)

    assert runs == {"endless": "cancelled", "cleanup": "succeeded"}
    assert [run.name for run in abandoned] == ["endless"]


async def test_early_callbacks_that_a_shutdown_cuts_are_told_to_the_hook() -> None:
    abandoned: list[Run] = []
    responded, go = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("no lifespan")
        after.options(early=True, name="early")(asyncio.Event().wait)
        await respond(send)
        responded.set()
        await go.wait()

    wrapped = AfterMiddleware(app, grace=0.02, on_abandon=abandoned.extend)
    async with lifespan(wrapped):
        request = asyncio.create_task(call(wrapped))
        await responded.wait()
        await until(lambda: any(queue.live for queue in wrapped.pipeline.queues))
    go.set()
    await request

    assert [run.name for run in abandoned] == ["early"]


@pytest.mark.parametrize(
    ("fails", "disconnected"), [("final", True), ("handler", False), ("context", True)]
)
async def test_only_the_servers_own_error_means_that_the_client_left(
    fails: str, disconnected: bool
) -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(lambda: seen.append(current_run().response))
        if fails == "handler":
            raise FileNotFoundError("the handler's own")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"x"})
        except OSError:
            if fails == "context":
                raise RuntimeError("a framework's") from None
            raise

    async def server(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise OSError("connection lost")

    wrapped = AfterMiddleware(app)
    async with lifespan(answering_lifespan(wrapped)):
        with pytest.raises((OSError, RuntimeError)):
            await wrapped(http_scope(), Wire({}).receive, server)
        await drain()

    assert seen[0].disconnected is disconnected
    assert not seen[0].completed


def answering_lifespan(app: Any) -> Any:
    """The app, whose lifespan is one that answers."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await answering(lambda: None)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return both


async def test_taking_back_one_that_waits_for_its_next_attempt_is_the_end_of_its_run(
    caplog: Any,
) -> None:
    runs: list[Run] = []
    handles: list[Any] = []

    async def fail() -> None:
        raise RuntimeError("first")

    def handler() -> None:
        handles.append(after.options(retry=Retry(2, delay=5))(fail))

    app = AfterMiddleware(answering(handler), reporters=[runs.append])
    async with lifespan(app):
        await call(app)
        await until(lambda: handles[0].attempt == 2)
        assert handles[0].cancel()
        await drain()

    assert [(run.outcome, str(run.error)) for run in runs] == [("cancelled", "first")]
    assert events(caplog).count("run.cancelled") == 1


async def test_a_crash_without_callbacks_leaves_nothing_for_the_collector() -> None:
    class CrashError(Exception): ...

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise CrashError

    async def request() -> weakref.ref[CrashError]:
        try:
            await AfterMiddleware(app)(http_scope(), Wire({}).receive, Wire({}).send)
        except CrashError as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        assert (await request())() is None
    finally:
        gc.enable()


async def test_waiting_inside_a_cancelled_scope_of_anyio_costs_no_turns_of_the_loop() -> None:
    turns = 0
    may_end = asyncio.Event()

    async def work() -> None:
        await may_end.wait()

    app = AfterMiddleware(answering(lambda: after(work) and None), host="inline")

    async def count() -> None:
        nonlocal turns
        for turns in range(200):  # noqa: B007
            await asyncio.sleep(0)
        may_end.set()

    counting = asyncio.create_task(count())
    with anyio.CancelScope() as cancel_scope:
        cancel_scope.cancel()
        await app(http_scope(), Wire({}).receive, Wire({}).send)
    await counting

    assert turns == 199


async def test_the_host_is_asked_even_if_the_work_is_over_in_an_instant() -> None:
    host = FakeHost()

    async def instant() -> None: ...

    await call(AfterMiddleware(answering(lambda: after(instant) and None), host=host))
    await host.settle()

    assert len(host.handed) == 1


async def test_a_refused_coroutine_is_closed_without_a_warning() -> None:
    async def work() -> None: ...

    class Unavailable(FakeHost): ...

    def refused(raises: type[Exception], queue: Callable[[], object]) -> None:
        with pytest.raises(raises):
            queue()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refused(NoRequestError, lambda: after(work()))
        refused(InvalidCallbackError, lambda: after.options(retry=Retry(2))(work()))

        def full() -> None:
            after(asyncio.Event().wait)
            refused(LimitReachedError, lambda: after(work()))

        app = AfterMiddleware(answering(full), limit=1, at_limit="reject", budget=0.01)
        await call(app)
        app = AfterMiddleware(
            answering(lambda: refused(HostUnavailableError, lambda: after(work()))),
            host=Unavailable(missing="gone"),
        )
        await call(app)

        go = asyncio.Event()
        strays: list[asyncio.Task[None]] = []

        async def stray() -> None:
            await go.wait()
            refused(QueueClosedError, lambda: after(work()))

        def handler() -> None:
            after(print, end="")
            strays.append(asyncio.ensure_future(stray()))

        await call(AfterMiddleware(answering(handler)))
        go.set()
        await strays[0]
        gc.collect()


async def test_of_many_calls_with_one_key_from_threads_one_runs() -> None:
    ran: list[int] = []
    barrier = threading.Barrier(4)

    def endpoint(number: int) -> None:
        barrier.wait(5)
        after.options(key="k")(ran.append, number)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.gather(*(asyncio.to_thread(endpoint, number) for number in range(4)))
        await respond(send)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(60):
            await call(AfterMiddleware(app))
    finally:
        sys.setswitchinterval(interval)

    assert len(ran) == 60


async def async_function(*args: Any) -> bool:
    return True


def test_an_async_function_is_refused_where_nobody_would_await_it() -> None:
    refused: list[dict[str, Any]] = [
        {"reporters": [async_function]},
        {"on_abandon": async_function},
    ]
    for values in refused:
        with pytest.raises(InvalidOptionError, match="not async"):
            AfterMiddleware(answering(lambda: None), **values)
    with pytest.raises(InvalidOptionError, match="always true"):
        after.options(on=async_function)

    def generator(response: Any) -> Any:
        yield response

    after.options(on=generator)  # strange, but its own affair


def test_options_of_options_add_up() -> None:
    both = after.options(timeout=5).options(name="x")
    with capture() as calls:
        both(print)
    assert (calls[0].options.timeout, calls[0].name) == (5, "x")


def test_a_setting_given_in_the_place_of_an_afterwork_is_told() -> None:
    with pytest.raises(TypeError, match="the second argument is an Afterwork; it was given 30"):
        AfterMiddleware(answering(lambda: None), 30)  # type: ignore[arg-type]


def test_a_retry_is_a_value() -> None:
    assert Retry(3, delay=2) == Retry(3, delay=2)
    assert hash(Retry(3)) == hash(Retry(3))
    assert Retry(3) != Retry(4)
    assert Retry(3) != 3


def test_the_submodules_are_there_without_importing_them() -> None:
    import subprocess

    assert afterwork.__getattr__("errors") is afterwork.errors
    code = "import afterwork; afterwork.errors.NoRequestError; afterwork.testing.scope"
    subprocess.run([sys.executable, "-c", code], check=True)


async def test_the_tests_own_error_in_a_plain_scope_is_not_replaced() -> None:
    with pytest.raises(ValueError, match="own"), scope():
        after(print)
        raise ValueError("own")


def test_an_interrupt_in_an_immediate_callback_is_raised_at_the_call() -> None:
    def stop() -> None:
        raise SystemExit

    with immediate(), pytest.raises(SystemExit):
        after(stop)


async def test_what_is_over_is_not_started_nor_timed_out_nor_given_its_task() -> None:
    """Each of these calls may come that late, from another thread or a timer."""
    from afterwork._loop import current_loop

    handles: list[Any] = []

    def handler() -> None:
        handles.append(after.options(on="success")(print))
        assert handles[0].cancel()

    app = AfterMiddleware(answering(handler))
    await call(app)
    app.pipeline.submit(handles[0])
    app.pipeline._time_out(handles[0], 1)
    app.pipeline._arm(handles[0], 1)
    loop = current_loop()
    assert loop is not None

    async def run(work: Any) -> None: ...

    loop.spawn(run, handles[0], False)  # as an eager task, which is over when it is made
    assert handles[0].task is None
    assert handles[0].timer is None
    await asyncio.sleep(0)


async def test_a_sigterm_handler_that_came_later_is_left_alone() -> None:
    import signal

    def handler(*args: Any) -> None: ...

    before = signal.getsignal(signal.SIGTERM)
    try:
        async with lifespan(AfterMiddleware(answering(lambda: None))):
            signal.signal(signal.SIGTERM, handler)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


def test_a_trio_callback_with_a_nursery_that_is_cut_is_cancelled() -> None:
    import trio

    runs: list[Run] = []

    async def nursing() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)

    async def main() -> None:
        app = AfterMiddleware(
            answering(lambda: after(nursing) and None), budget=0.02, reporters=[runs.append]
        )
        await app(http_scope(), Wire({}).receive, Wire({}).send)

    trio.run(main)

    assert [run.outcome for run in runs] == ["cancelled"]


def test_a_trio_host_that_refuses_leaves_no_coroutine_behind() -> None:
    import trio

    class Refusing(FakeHost):
        def wait_until(self, scope: Scope, work: Any) -> None:
            raise RuntimeError("no")

    ran: list[str] = []

    async def main() -> None:
        app = AfterMiddleware(answering(lambda: after(ran.append, "x") and None), host=Refusing())
        await app(http_scope(), Wire({}).receive, Wire({}).send)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trio.run(main)
        gc.collect()

    assert ran == ["x"]
