"""R65 to R71: hosts, budgets and timeouts.

The cases: R65, R66, R67, R68, R69, R70, R71.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import AfterMiddleware, HostInfo, Retry, Run, after, current_run
from afterwork._closing import cut
from afterwork._hosts import PlainHost
from afterwork.errors import CallbackTimeoutError
from afterwork.testing import FakeHost, drain
from tests.support import answering, call, events, fields, http_scope, lifespan

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from afterwork._asgi import Receive, Scope, Send


async def test_r65_a_host_in_the_scope_is_used_for_the_route_middleware_and_nested_calls() -> None:
    host = FakeHost()
    ran: list[str] = []

    def nesting() -> None:
        after(ran.append, "nested")

    inner = answering(lambda: after(nesting) and None)

    async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
        after(ran.append, "middleware")
        await inner(scope, receive, send)

    scope = http_scope(afterwork=host)
    await call(AfterMiddleware(middleware), scope=scope)
    assert len(host.handed) == 1
    await host.settle()

    assert sorted(ran) == ["middleware", "nested"]
    assert scope["afterwork"] is host


async def test_r65_a_function_in_the_scope_is_a_host_too() -> None:
    handed: list[Awaitable[None]] = []

    app = AfterMiddleware(answering(lambda: after(lambda: None) and None))
    await call(app, scope=http_scope(afterwork=handed.append))

    assert len(handed) == 1
    await handed[0]


async def test_r66_each_request_uses_its_own_host() -> None:
    hosts = [FakeHost(), FakeHost()]
    app = AfterMiddleware(answering(lambda: after(lambda: None) and None))

    for host in hosts:
        await call(app, scope=http_scope(afterwork=host))
    for host in hosts:
        assert len(host.handed) == 1
        await host.settle()


async def test_r67_a_lifespan_that_is_not_the_process_is_not_held_back() -> None:
    host = FakeHost(lifespan_is_process=False)
    may_end = asyncio.Event()
    app = AfterMiddleware(answering(lambda: after(may_end.wait) and None), host=host)

    async with lifespan(app) as life:
        wire = await call(app)
        assert wire.status == 200
        assert (await life.shutdown())["type"] == "lifespan.shutdown.complete"
        assert not host.handed[0].done()  # type: ignore[attr-defined]
    may_end.set()
    await host.settle()


async def test_r68_a_host_that_cannot_answer_early_says_so_once_at_start_up(caplog: Any) -> None:
    host = FakeHost("before_end", note="this platform waits. Use a queue.")
    assert not host.info.after_response
    app = AfterMiddleware(answering(lambda: after(print, end="") and None), host=host)

    async with lifespan(app):
        assert events(caplog) == ["host.limited"]
        await call(app)
        await call(app)

    assert events(caplog).count("host.limited") == 1
    assert fields(caplog, "host.limited") == {"host": "fake", "note": host.info.note}


async def test_r69_a_host_that_fails_to_take_the_work_costs_nothing(caplog: Any) -> None:
    class Refusing(FakeHost):
        def wait_until(self, scope: Scope, work: Awaitable[None]) -> None:
            raise RuntimeError("invocation ended")

    ran: list[str] = []
    app = AfterMiddleware(answering(lambda: after(ran.append, "x") and None), host=Refusing())
    async with lifespan(app):
        await call(app)
        await drain()

    assert ran == ["x"]
    assert fields(caplog, "host.failed") == {"host": "fake", "call": "wait_until"}


async def test_r70_at_the_budget_what_is_unfinished_is_cut_and_named_in_one_line(
    caplog: Any,
) -> None:
    abandoned: list[Run] = []
    seen: list[Run] = []
    release = threading.Event()

    async def endless() -> None:
        await asyncio.Event().wait()

    def handler() -> None:
        after.options(name="async")(endless)
        after.options(name="thread")(release.wait, 5)
        after.options(name="queued")(endless)
        after.options(name="quick")(lambda: None)

    app = AfterMiddleware(
        answering(handler),
        budget=0.1,
        limit=None,
        on_abandon=abandoned.extend,
        reporters=[seen.append],
    )
    await call(app)
    release.set()

    dropped = fields(caplog, "after.dropped")
    assert dropped["callbacks"] == ["async", "thread", "queued"]
    assert dropped["count"] == 3
    assert dropped["reason"] == "deadline"
    assert all(0.05 < age < 5 for age in dropped["ages_seconds"])
    outcomes = {run.name: run.outcome for run in seen}
    assert outcomes == {
        "async": "cancelled",
        "thread": "abandoned",
        "queued": "cancelled",
        "quick": "succeeded",
    }
    assert {run.name for run in abandoned} == {"async", "thread", "queued"}


async def test_r70_what_waits_at_the_limit_is_cut_too(caplog: Any) -> None:
    def handler() -> None:
        after.options(name="running")(asyncio.Event().wait)
        after.options(name="waiting")(print, "never")

    seen: list[Run] = []
    app = AfterMiddleware(answering(handler), budget=0.02, limit=1, reporters=[seen.append])
    await call(app)

    assert fields(caplog, "after.dropped")["callbacks"] == ["running", "waiting"]
    assert {run.name: run.outcome for run in seen} == {
        "running": "cancelled",
        "waiting": "cancelled",
    }
    assert seen[0].started_at is None or seen[1].started_at is None


async def test_r70_the_hosts_own_deadline_counts(caplog: Any) -> None:
    host = FakeHost(deadline_in=0.05)
    remaining: list[float | None] = []

    async def work() -> None:
        run = current_run()
        remaining.append(run.remaining())
        assert run.deadline is not None
        await asyncio.Event().wait()

    await call(AfterMiddleware(answering(lambda: after(work) and None), host=host))
    await host.settle()

    assert remaining[0] is not None
    assert 0 < remaining[0] <= 0.05
    assert fields(caplog, "after.dropped")["count"] == 1


async def test_r70_a_callback_that_resists_being_cancelled_is_abandoned(caplog: Any) -> None:
    release = asyncio.Event()
    seen: list[Run] = []

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    host = PlainHost(HostInfo("short", "inline", max_seconds=0.02))
    app = AfterMiddleware(
        answering(lambda: after(stubborn) and None), host=host, reporters=[seen.append]
    )
    await call(app)
    release.set()

    assert [run.outcome for run in seen] == ["abandoned"]


async def test_r70_a_callback_that_ends_well_when_cancelled_is_not_abandoned() -> None:
    abandoned: list[Run] = []
    seen: list[Run] = []

    async def finishing() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    app = AfterMiddleware(
        answering(lambda: after(finishing) and None),
        budget=0.02,
        on_abandon=abandoned.extend,
        reporters=[seen.append],
    )
    await call(app)

    assert [run.outcome for run in seen] == ["succeeded"]
    assert abandoned == []


async def test_r70_a_hook_that_raises_is_logged(caplog: Any) -> None:
    def broken(runs: list[Run]) -> None:
        raise RuntimeError

    app = AfterMiddleware(
        answering(lambda: after(asyncio.Event().wait) and None), budget=0.01, on_abandon=broken
    )
    await call(app)

    assert "on_abandon.failed" in events(caplog)


async def test_r71_a_timeout_cancels_only_its_own_callback(caplog: Any) -> None:
    seen: list[Run] = []
    ran: list[str] = []

    async def endless() -> None:
        await asyncio.Event().wait()

    async def sibling() -> None:
        await asyncio.sleep(0.05)
        ran.append("sibling")

    def handler() -> None:
        after.options(timeout=0.01)(endless)
        after(sibling)

    await call(AfterMiddleware(answering(handler), reporters=[seen.append]))

    assert ran == ["sibling"]
    timed_out = seen[0]
    assert timed_out.outcome == "timed_out"
    assert isinstance(timed_out.error, TimeoutError)
    assert isinstance(timed_out.error, CallbackTimeoutError)
    assert timed_out.error.seconds == 0.01
    assert timed_out.duration is not None
    assert timed_out.duration >= 0.01
    assert "run.timed_out" in events(caplog)


async def test_r71_a_callbacks_own_timeout_error_is_a_failure() -> None:
    seen: list[Run] = []

    async def work() -> None:
        raise TimeoutError("the mail server's")

    app = AfterMiddleware(
        answering(lambda: after(work) and None), timeout=5, reporters=[seen.append]
    )
    await call(app)

    assert [run.outcome for run in seen] == ["failed"]


async def test_r71_a_sync_callback_is_reported_at_its_timeout_and_ends_by_itself() -> None:
    seen: list[Run] = []
    release = threading.Event()
    remaining: list[float | None] = []
    left = threading.Event()

    def slow() -> None:
        run = current_run()
        remaining.append(run.remaining())
        release.wait(5)
        left.set()

    app = AfterMiddleware(
        answering(lambda: after(slow) and None), timeout=0.05, reporters=[seen.append]
    )
    await call(app)

    assert [run.outcome for run in seen] == ["timed_out"]
    assert remaining[0] is not None
    assert 0 < remaining[0] <= 0.05
    release.set()
    await asyncio.to_thread(left.wait, 5)
    await call(app)  # its late end is not a second one
    assert len(seen) == 2


async def test_r71_a_timeout_of_none_undoes_the_default() -> None:
    ran: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0.03)
        ran.append("work")

    def handler() -> None:
        after.options(timeout=None)(work)

    await call(AfterMiddleware(answering(handler), timeout=0.01))

    assert ran == ["work"]


async def test_r71_a_plain_function_that_returns_a_coroutine_has_one_timeout() -> None:
    seen: list[Run] = []
    app = AfterMiddleware(
        answering(lambda: after(lambda: asyncio.sleep(5)) and None),
        timeout=0.03,
        reporters=[seen.append],
    )
    await call(app)

    assert [run.outcome for run in seen] == ["timed_out"]


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_retry_runs_it_again_until_it_succeeds(kind: str, caplog: Any) -> None:
    attempts: list[int] = []
    seen: list[Run] = []

    def flaky() -> None:
        attempts.append(current_run().attempt)
        if len(attempts) < 3:
            raise RuntimeError("not yet")

    async def flaky_async() -> None:
        flaky()

    def handler() -> None:
        after(flaky if kind == "sync" else flaky_async)

    app = AfterMiddleware(answering(handler), retry=Retry(5, delay=0.001), reporters=[seen.append])
    await call(app)

    assert attempts == [1, 2, 3]
    assert [(run.outcome, run.attempt) for run in seen] == [("succeeded", 3)]
    assert len({run.id for run in seen}) == 1
    assert events(caplog) == ["run.retrying", "run.retrying", "run.succeeded"]


async def test_a_retry_gives_up_after_its_attempts_and_for_other_errors() -> None:
    seen: list[Run] = []

    async def fail(error: Exception) -> None:
        raise error

    def handler() -> None:
        retry = after.options(retry=Retry(2, delay=0, on=(ValueError, KeyError)))
        retry(fail, ValueError())
        retry(fail, OSError())
        after.options(retry=None)(fail, ValueError())

    app = AfterMiddleware(answering(handler), reporters=[seen.append])
    await call(app)

    assert sorted((type(run.error).__name__, run.attempt) for run in seen) == [
        ("OSError", 1),
        ("ValueError", 1),
        ("ValueError", 2),
    ]


async def test_a_retry_that_would_start_after_the_deadline_is_not_made() -> None:
    seen: list[Run] = []

    async def fail() -> None:
        raise RuntimeError

    app = AfterMiddleware(
        answering(lambda: after(fail) and None),
        retry=Retry(3, delay=60),
        budget=5,
        reporters=[seen.append],
    )
    await call(app)

    assert [(run.outcome, run.attempt) for run in seen] == [("failed", 1)]


async def test_a_timed_out_attempt_is_tried_again_where_it_could_be_stopped() -> None:
    seen: list[Run] = []

    async def slow_once() -> None:
        if current_run().attempt == 1:
            await asyncio.Event().wait()

    app = AfterMiddleware(
        answering(lambda: after(slow_once) and None),
        retry=Retry(2, delay=0),
        timeout=0.02,
        reporters=[seen.append],
    )
    await call(app)

    assert [(run.outcome, run.attempt) for run in seen] == [("succeeded", 2)]


async def test_an_attempt_that_waits_takes_no_place_under_the_limit() -> None:
    log: list[str] = []

    async def flaky() -> None:
        log.append(f"attempt {current_run().attempt}")
        if current_run().attempt == 1:
            raise RuntimeError

    def handler() -> None:
        after.options(retry=Retry(2, delay=0.05, jitter=False))(flaky)
        after(log.append, "sibling")

    await call(AfterMiddleware(answering(handler), limit=1))

    assert log == ["attempt 1", "sibling", "attempt 2"]


async def test_an_attempt_that_waits_can_be_cancelled() -> None:
    handles: list[Any] = []
    ran: list[int] = []

    async def fail() -> None:
        ran.append(1)
        after(cancel())  # on this loop, so not before this attempt has ended
        raise RuntimeError

    async def cancel() -> None:
        cancelled.append(handles[0].cancel())

    cancelled: list[bool] = []

    def handler() -> None:
        handles.append(after.options(retry=Retry(2, delay=0.1, jitter=False))(fail))

    app = AfterMiddleware(answering(handler))
    await call(app)

    assert ran == [1]
    assert cancelled == [True]
    assert handles[0].done
    app.pipeline.submit(handles[0])  # what its timer does when the time has come
    assert ran == [1]


async def test_around_surrounds_every_attempt_and_cannot_fail_it(caplog: Any) -> None:
    from collections.abc import Iterator
    from contextlib import contextmanager

    log: list[str] = []

    @contextmanager
    def span(run: Run) -> Iterator[None]:
        log.append(f"enter {run.attempt}")
        try:
            yield
        finally:
            log.append("leave")

    def broken(run: Run) -> Any:
        raise RuntimeError("around")

    @contextmanager
    def broken_at_the_end(run: Run) -> Iterator[None]:
        yield
        raise RuntimeError("leaving")

    async def work() -> None:
        log.append("work")

    def handler() -> None:
        after(work)
        after(log.append, "sync")

    app = AfterMiddleware(
        answering(handler), around=[span, broken, broken_at_the_end], sequential=True
    )
    await call(app)

    assert log == ["enter 1", "work", "leave", "enter 1", "sync", "leave"]
    assert events(caplog).count("around.failed") == 4
    assert events(caplog).count("run.succeeded") == 2


async def test_around_sees_the_error_and_does_not_swallow_it() -> None:
    from contextlib import suppress

    seen: list[Run] = []

    def fail() -> None:
        raise RuntimeError("kept")

    app = AfterMiddleware(
        answering(lambda: after(fail) and None),
        around=[lambda run: suppress(Exception)],
        reporters=[seen.append],
    )
    await call(app)

    assert [run.outcome for run in seen] == ["failed"]


async def test_around_may_raise_the_callbacks_own_error_again(caplog: Any) -> None:
    class Raising:
        def __enter__(self) -> None: ...

        def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
            raise error

    def fail() -> None:
        raise RuntimeError("once")

    app = AfterMiddleware(answering(lambda: after(fail) and None), around=[lambda run: Raising()])
    await call(app)

    assert events(caplog) == ["run.failed"]


async def test_an_abandoned_thread_that_fails_late_is_not_tried_again() -> None:
    seen: list[Run] = []
    release, left = threading.Event(), threading.Event()

    def slow() -> None:
        release.wait(5)
        left.set()
        raise RuntimeError("late")

    app = AfterMiddleware(
        answering(lambda: after(slow) and None),
        timeout=0.02,
        retry=Retry(2, delay=0),
        reporters=[seen.append],
    )
    await call(app)
    release.set()
    await asyncio.to_thread(left.wait, 5)
    await drain()

    assert [(run.outcome, run.attempt) for run in seen] == [("timed_out", 1)]


async def test_each_attempt_of_a_sync_callback_has_its_whole_timeout() -> None:
    seen: list[Run] = []

    def slow_after_a_failure() -> None:
        if current_run().attempt == 1:
            raise RuntimeError
        threading.Event().wait(0.12)

    app = AfterMiddleware(
        answering(lambda: after(slow_after_a_failure) and None),
        timeout=0.2,
        retry=Retry(2, delay=0.15, jitter=False),
        reporters=[seen.append],
    )
    await call(app)

    assert [(run.outcome, run.attempt) for run in seen] == [("succeeded", 2)]


async def test_what_is_about_to_start_when_it_is_cut_never_starts() -> None:
    """Its place under the limit has just become free, and the loop has not come to it yet."""
    seen: list[Run] = []
    ran: list[str] = []

    def cut_soon(run: Run) -> None:
        seen.append(run)
        if run.name == "first":
            (queue,) = app.pipeline.queues
            asyncio.get_running_loop().call_soon(cut, app.pipeline, queue, "test")

    async def first() -> None: ...

    def handler() -> None:
        after.options(name="first")(first)
        after.options(name="second")(ran.append, "second")

    app = AfterMiddleware(answering(handler), limit=1, reporters=[cut_soon])
    await call(app)

    assert ran == []
    assert {run.name: run.outcome for run in seen} == {"first": "succeeded", "second": "cancelled"}
