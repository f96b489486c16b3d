"""Loops, threads, the SIGTERM guard and events, where no case reaches."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from afterwork import AfterMiddleware, Run, after, current_run
from afterwork import _loop_asyncio as loop_asyncio
from afterwork._events import ERROR, emit
from afterwork._loop import current_loop
from afterwork._sigterm import SigtermGuard
from afterwork._threads import Threads
from afterwork.errors import NoRunError
from afterwork.testing import FakeHost, drain
from tests.support import Life, answering, call, events, fields, lifespan, until

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send


def test_outside_a_callback_there_is_no_run() -> None:
    with pytest.raises(NoRunError, match="inside a callback"):
        current_run()


async def test_a_run_shows_what_it_is() -> None:
    seen: list[Run] = []

    async def work() -> None:
        run = current_run()
        seen.append(run)
        assert run == current_run()
        assert hash(run) == hash(current_run())
        assert run != 1
        assert run.id == current_run().id
        assert run.trigger == "after"
        assert run.attempt == 1
        assert run.scheduled_for is None
        assert run.last_success is None
        assert run.deadline is None
        assert run.remaining() is None
        assert run.started_at is not None
        assert run.started_at.utcoffset() is not None
        assert run.duration is not None
        assert run.duration < 5
        assert run.outcome is None
        assert run.error is None
        assert run.queued_at[0].startswith(__file__)
        assert repr(run).endswith("work unfinished>")

    await call(AfterMiddleware(answering(lambda: after(work) and None), reporters=[seen.append]))

    assert seen[1].outcome == "succeeded"
    assert seen[0] == seen[1]
    assert seen[1].duration == seen[0].duration
    assert repr(seen[1]).endswith("work succeeded>")


async def test_a_run_that_never_started_has_no_times() -> None:
    seen: list[Run] = []

    def handler() -> None:
        after(asyncio.Event().wait)
        after(print)

    app = AfterMiddleware(answering(handler), limit=1, budget=0.01, on_abandon=seen.extend)
    await call(app)

    assert seen[1].started_at is None
    assert seen[1].duration is None
    assert seen[1].deadline is not None


async def test_eager_start_is_used_where_it_is_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    """From Python 3.12 on: a callback that does not wait is over before its task was scheduled."""
    if not loop_asyncio.EAGER:
        made: list[dict[str, Any]] = []

        def task(coroutine: Any, *, eager_start: bool, **keywords: Any) -> Any:
            made.append(keywords)
            assert eager_start
            return asyncio.Task(coroutine, **keywords)

        monkeypatch.setattr(loop_asyncio, "EAGER", True)
        monkeypatch.setattr(loop_asyncio, "asyncio", FakeAsyncio(task))
    ran: list[str] = []

    async def work() -> None:
        ran.append("work")

    app = AfterMiddleware(answering(lambda: after(work) and None))
    async with lifespan(app):
        await call(app)
        await drain()
    assert ran == ["work"]

    loop = asyncio.get_running_loop()
    factory_used: list[Any] = []

    def factory(loop: Any, coroutine: Any, **keywords: Any) -> Any:
        factory_used.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **keywords)

    loop.set_task_factory(factory)
    async with lifespan(app):
        await call(app)
        await drain()
    loop.set_task_factory(None)
    assert "Pipeline._run" in [coroutine.__qualname__ for coroutine in factory_used]


class FakeAsyncio:
    """asyncio with another Task."""

    def __init__(self, task: Any) -> None:
        self.Task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)


def test_without_a_loop_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert current_loop() is None
    monkeypatch.delitem(sys.modules, "trio", raising=False)
    assert current_loop() is None


async def test_a_late_call_that_somebody_has_started_is_not_taken_back() -> None:
    from afterwork import Deferred
    from afterwork._drain import begin_late
    from afterwork._middleware import new_pipeline
    from afterwork._work import STARTED
    from afterwork.testing._scope import new_exchange, open_queue

    exchange = new_exchange(new_pipeline({"host": FakeHost()}))
    work = Deferred()
    work.queue = open_queue(exchange)
    work.state = STARTED
    begin_late(work, exchange)  # raises nothing


async def test_a_drain_begins_once() -> None:
    """A late call from a thread may come between the end of the request and its drain."""
    ran: list[str] = []
    begun: list[Any] = []

    def handler() -> None:
        after(ran.append, "x")
        begun.extend(app.pipeline.queues)

    app = AfterMiddleware(answering(handler))
    async with lifespan(app):
        await call(app)
        loop = current_loop()
        assert loop is not None
        app.pipeline.begin(begun[0], loop, None)
        await drain()

    assert ran == ["x"]


async def test_a_withdrawn_callback_is_a_line_only_where_it_is_wanted(caplog: Any) -> None:
    app = AfterMiddleware(answering(lambda: after(print).cancel() and None))
    await call(app)
    assert events(caplog) == ["after.withdrawn"]
    assert fields(caplog, "after.withdrawn")["reason"] == "cancelled"
    caplog.clear()
    caplog.set_level(logging.INFO, "afterwork")
    await call(app)
    assert events(caplog) == []


def test_a_loop_that_is_closed_ends_its_callbacks_and_hears_no_signal(caplog: Any) -> None:
    """As in a test that ends its loop under a thread."""
    release, left = threading.Event(), threading.Event()
    kept: list[Any] = []

    def slow() -> None:
        release.wait(5)
        after(print, "nested: it cannot start any more")
        left.set()

    app = AfterMiddleware(answering(lambda: after(slow) and None), budget=60)

    async def main() -> None:
        loop = current_loop()
        assert loop is not None
        kept.append(loop.signal())
        life = Life(app)
        await life.startup()
        await call(app)
        assert life.task is not None
        life.task.cancel()

    asyncio.run(main())
    kept[0].set()
    release.set()
    assert left.wait(5)
    assert "run.cancelled" in events(caplog)
    assert fields(caplog, "run.cancelled")["reason"] == "the event loop is closed"


async def test_a_signal_may_be_set_twice() -> None:
    loop = current_loop()
    assert loop is not None
    happened = loop.signal()
    happened.set()
    happened.set()
    assert await happened.wait(5)
    await asyncio.sleep(0)
    assert not await loop.signal().wait(0.001)


async def test_where_the_system_gives_no_thread_the_callback_fails_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    app = AfterMiddleware(answering(lambda: after(print) and None))
    await call(app)

    assert "run.failed" in events(caplog)
    assert "can't start new thread" in caplog.text


class Job:
    """As much of a work as `Threads` looks at: nothing."""


def test_threads_are_made_when_needed_and_reused(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(2)
    release = threading.Event()
    done: list[int] = []
    both = threading.Barrier(3)

    def work(job: Any) -> None:
        both.wait(5)
        release.wait(5)
        done.append(threading.get_ident())

    for _ in range(2):
        threads.submit(work, Job())
    both.wait(5)
    assert threads.alive == 2
    threads.submit(lambda job: done.append(0), Job())
    assert threads.alive == 2  # the most
    release.set()
    wait_until(lambda: len(done) == 3)
    threads.submit(lambda job: done.append(0), Job())
    wait_until(lambda: len(done) == 4)
    assert threads.alive == 2


def test_a_failed_start_leaves_the_work_to_the_threads_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = Threads(2)
    release = threading.Event()
    done: list[str] = []
    threads.submit(lambda job: release.wait(5), Job())

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    threads.submit(lambda job: done.append("second"), Job())
    assert threads.alive == 1
    release.set()
    wait_until(lambda: done == ["second"])


def test_idle_threads_end(monkeypatch: pytest.MonkeyPatch) -> None:
    from afterwork import _threads

    monkeypatch.setattr(_threads, "IDLE_SECONDS", 0.01)
    threads = Threads(4)
    both = threading.Barrier(3)
    for _ in range(2):
        threads.submit(lambda job: both.wait(5), Job())
    both.wait(5)
    wait_until(lambda: threads.alive == 0)
    done: list[int] = []
    threads.submit(lambda job: done.append(1), Job())
    wait_until(lambda: done == [1])


def test_a_thread_stays_for_a_call_that_came_as_it_was_about_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import queue

    threads = Threads(1)
    done: list[int] = []

    class Late:
        """A queue whose first answer comes too late by a hair."""

        def __init__(self) -> None:
            self.calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
            self.put = self.calls.put
            self.late = True

        def get(self, timeout: float) -> Any:
            if self.late:
                self.late = False
                raise queue.Empty
            return self.calls.get(timeout=timeout)

    threads._calls = Late()  # type: ignore[assignment]
    threads.submit(lambda job: done.append(1), Job())
    wait_until(lambda: done == [1])


def wait_until(condition: Any) -> None:
    import time

    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


async def test_sigterm_drains_first_where_nobody_else_handles_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    killed: list[int] = []
    real_kill = os.kill

    def kill(pid: int, number: int) -> None:
        # What it kills would be this test: it must have put the default back before.
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert pid == os.getpid()
        killed.append(number)

    may_end = asyncio.Event()
    log: list[str] = []

    async def work() -> None:
        await may_end.wait()
        log.append("work")

    app = AfterMiddleware(answering(lambda: after(work) and None))
    async with lifespan(app):
        await call(app)
        monkeypatch.setattr(os, "kill", kill)
        real_kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.01)
        real_kill(os.getpid(), signal.SIGTERM)  # a second one changes nothing
        await asyncio.sleep(0.01)
        assert killed == []
        may_end.set()
        await until(lambda: killed == [signal.SIGTERM])
        assert log == ["work"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_sigterm_leaves_a_shutdown_that_has_begun_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed: list[int] = []
    real_kill = os.kill
    may_end = asyncio.Event()
    app = AfterMiddleware(answering(lambda: after(may_end.wait) and None))
    life = Life(app)
    await life.startup()
    await call(app)
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append(number))
    real_kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.01)
    ending = asyncio.create_task(life.shutdown())
    await asyncio.sleep(0.01)
    real_kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0.01)
    may_end.set()
    await ending
    await asyncio.sleep(0.01)

    assert killed == []


async def test_a_handler_that_is_there_is_left_alone() -> None:
    def handler(*args: Any) -> None: ...

    before = signal.signal(signal.SIGTERM, handler)
    try:
        async with lifespan(AfterMiddleware(answering(lambda: None))):
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_loop_without_signals_has_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.get_running_loop(), "add_signal_handler", refuse, raising=False)
    async with lifespan(AfterMiddleware(answering(lambda: None))):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_outside_the_main_thread_there_is_no_guard() -> None:
    app = AfterMiddleware(answering(lambda: None))

    async def main() -> None:
        async with lifespan(app):
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    thread.join()
    guard = SigtermGuard(app.pipeline)
    guard.arm()  # without a loop
    guard.disarm()


def test_an_event_that_cannot_be_logged_is_told_on_stderr(capsys: Any) -> None:
    def broken(logger: Any, method: str, event: Any) -> Any:
        raise ValueError("a processor")

    structlog.configure(processors=[broken])
    try:
        emit(ERROR, "run.failed", None, callback="x")
    finally:
        structlog.reset_defaults()

    assert "afterwork: run.failed could not be logged: ValueError" in capsys.readouterr().err


async def test_a_success_is_one_quiet_line_and_none_where_it_is_not_wanted(caplog: Any) -> None:
    app = AfterMiddleware(answering(lambda: after(print, end="") and None))
    await call(app, "/orders")
    (record,) = [r for r in caplog.records if r.name == "afterwork"]
    assert record.levelno == logging.DEBUG
    line = record.getMessage()
    assert line.startswith("run.succeeded callback='print' run_id='")
    assert "method='GET' path='/orders'" in line
    assert f"queued_at='{__file__}:" in line

    caplog.clear()
    caplog.set_level(logging.INFO, "afterwork")
    await call(app)
    assert caplog.records == []


async def test_finished_work_leaves_nothing_behind(caplog: Any) -> None:
    import gc
    import weakref

    caplog.set_level(logging.CRITICAL, "afterwork")  # a kept record keeps its traceback

    class Argument: ...

    argument = Argument()
    gone = weakref.ref(argument)
    held = [argument]
    del argument

    async def work(thing: Argument) -> None: ...

    def fail(thing: Argument) -> None:
        raise RuntimeError

    def handler() -> None:
        after(work, held[0])
        after(fail, held[0])
        held.clear()

    app = AfterMiddleware(answering(handler))
    async with lifespan(app):
        await call(app)
        await drain()
        # The thread lets go of it a moment after the drain is over.
        await until(lambda: gc.collect() >= 0 and gone() is None)
        assert not app.pipeline.queues
        assert not app.pipeline._limit.running
        assert not app.pipeline._limit.waiting


async def test_a_request_without_callbacks_leaves_no_garbage() -> None:
    """Rule 12: nothing is left for the collector, so nothing waits for it."""
    import gc

    app = AfterMiddleware(answering(lambda: None))
    await call(app)
    gc.collect()
    gc.disable()
    try:
        before = sum(type(thing).__name__ == "Exchange" for thing in gc.get_objects())
        for _ in range(10):
            await call(app)
        after_ = sum(type(thing).__name__ == "Exchange" for thing in gc.get_objects())
    finally:
        gc.enable()
    assert after_ == before


async def test_running_callbacks_survive_a_collection() -> None:
    import gc

    ended: list[str] = []
    may_end = asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        ended.append("work")

    app = AfterMiddleware(answering(lambda: after(work) and None))
    async with lifespan(app):
        await call(app)
        gc.collect()
        may_end.set()
        await drain()

    assert ended == ["work"]


async def test_a_callback_that_cancels_its_own_task_counts_as_cancelled(caplog: Any) -> None:
    async def work() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    await call(AfterMiddleware(answering(lambda: after(work) and None)))

    assert fields(caplog, "run.cancelled")["reason"] == "cancelled"


async def test_a_middleware_between_two_of_ours_may_lose_the_context() -> None:
    """A nested middleware finds the request in the scope."""
    from contextvars import Context

    ran: list[str] = []
    inner = AfterMiddleware(answering(lambda: after(ran.append, "x") and None))

    async def losing(scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_task(inner(scope, receive, send), context=Context())

    await call(AfterMiddleware(losing))

    assert ran == ["x"]


async def test_stress_many_requests_threads_and_nesting_lose_nothing() -> None:
    """Requests in threads and on the loop, nested three deep, under a small limit."""
    done: list[tuple[int, int]] = []
    lock = threading.Lock()

    def sync(number: int, depth: int) -> None:
        with lock:
            done.append((number, depth))
        if depth:
            after(asynchronous, number, depth - 1)

    async def asynchronous(number: int, depth: int) -> None:
        await asyncio.sleep(0)
        with lock:
            done.append((number, depth))
        if depth:
            after(sync, number, depth - 1)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        number = int(scope["path"][1:])
        if number % 2:
            await asyncio.to_thread(after, sync, number, 3)
        else:
            after(asynchronous, number, 3)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    wrapped = AfterMiddleware(app, limit=7, threads=4)
    async with lifespan(wrapped):
        await asyncio.gather(*(call(wrapped, f"/{number}") for number in range(200)))
        await drain()

    assert sorted(done) == [(number, depth) for number in range(200) for depth in range(4)]
    assert not wrapped.pipeline.queues
