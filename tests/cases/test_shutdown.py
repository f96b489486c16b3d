"""R72 to R76 inside one process; the same on real servers is in tests/servers.

The cases: R72, R73, R74, R75, R76.
"""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import AfterMiddleware, Retry, Run, after
from afterwork.errors import QueueClosedError
from afterwork.testing import FakeHost, drain
from tests.support import (
    Life,
    Wire,
    answering,
    call,
    events,
    fields,
    http_scope,
    lifespan,
    respond,
    until,
)

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send


def noting(log: list[str], handler: Any) -> Any:
    """An app whose own shutdown writes to `log`."""
    inner = answering(handler)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            log.append("the app shuts down")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await inner(scope, receive, send)

    return app


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_r72_the_apps_shutdown_comes_after_the_callbacks(kind: str) -> None:
    log: list[str] = []
    may_end = threading.Event()

    def sync() -> None:
        may_end.wait(5)
        log.append("callback")

    async def asynchronous() -> None:
        await asyncio.to_thread(sync)

    handler = sync if kind == "sync" else asynchronous
    app = AfterMiddleware(noting(log, lambda: after(handler) and None))
    life = Life(app)
    await life.startup()
    await call(app)
    ending = asyncio.create_task(life.shutdown())
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == []
    may_end.set()
    await ending

    assert log == ["callback", "the app shuts down"]


async def test_r73_a_callback_longer_than_the_grace_is_cut_and_reported(caplog: Any) -> None:
    log: list[str] = []
    abandoned: list[Run] = []
    app = AfterMiddleware(
        noting(log, lambda: after.options(name="endless")(asyncio.Event().wait) and None),
        grace=0.05,
        on_abandon=abandoned.extend,
    )
    async with lifespan(app):
        await call(app)

    assert log == ["the app shuts down"]
    assert fields(caplog, "after.dropped")["callbacks"] == ["endless"]
    assert fields(caplog, "after.dropped")["reason"] == "shutdown"
    assert [run.outcome for run in abandoned] == ["cancelled"]


async def test_r73_a_request_in_the_middle_is_waited_for_and_then_dropped(caplog: Any) -> None:
    """granian shuts the lifespan down while requests are still answered."""
    queued, go = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    async def handler() -> None:
        after.options(name="too late")(ran.append, "x")
        queued.set()
        await go.wait()

    app = AfterMiddleware(answering(handler), grace=0.05)
    async with lifespan(app):
        request = asyncio.create_task(call(app))
        await queued.wait()
    go.set()
    await request

    assert ran == []
    assert fields(caplog, "after.dropped")["callbacks"] == ["too late"]
    assert fields(caplog, "run.cancelled")["reason"] == "shutdown"


async def test_r73_a_retry_that_would_come_after_the_grace_fails_at_once(caplog: Any) -> None:
    seen: list[Run] = []
    abandoned: list[Run] = []

    async def fail() -> None:
        raise RuntimeError("down")

    app = AfterMiddleware(
        answering(lambda: after(fail) and None),
        retry=Retry(2, delay=60),
        reporters=[seen.append],
        on_abandon=abandoned.extend,
        grace=20,
    )
    async with lifespan(app):
        await call(app)
        await until(lambda: "run.retrying" in events(caplog))

    assert [(run.outcome, str(run.error)) for run in seen] == [("failed", "down")]
    assert abandoned == []


async def test_r73_no_new_retry_is_planned_past_the_end() -> None:
    seen: list[Run] = []
    go = asyncio.Event()

    async def fail() -> None:
        await go.wait()
        raise RuntimeError("down")

    app = AfterMiddleware(
        answering(lambda: after(fail) and None),
        retry=Retry(2, delay=60),
        reporters=[seen.append],
        grace=20,
    )
    life = Life(app)
    await life.startup()
    await call(app)
    ending = asyncio.create_task(life.shutdown())
    await asyncio.sleep(0)
    go.set()
    await ending

    assert [run.outcome for run in seen] == ["failed"]


async def test_r73_a_shutdown_that_is_itself_cancelled_reports_and_goes(caplog: Any) -> None:
    """A second Ctrl-C on uvicorn."""
    app = AfterMiddleware(answering(lambda: after(asyncio.Event().wait) and None))
    life = Life(app)
    await life.startup()
    await call(app)
    life.tell_shutdown()
    await asyncio.sleep(0.01)
    assert life.task is not None
    life.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await life.task
    await drain()

    assert fields(caplog, "after.dropped")["reason"] == "shutdown, cancelled by the server"


async def test_r74_a_server_that_cancels_the_asgi_call_does_not_stop_the_callback() -> None:
    ended: list[str] = []
    started, may_end = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        await may_end.wait()
        ended.append("work")

    app = AfterMiddleware(answering(lambda: after(work) and None))
    request = asyncio.create_task(_call(app))  # no lifespan: the call waits for the drain
    await started.wait()
    request.cancel()
    await asyncio.sleep(0)
    request.cancel()
    await asyncio.sleep(0)
    assert not request.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert ended == ["work"]


async def test_r74_a_cancelled_call_waits_for_the_work_of_others_too() -> None:
    """daphne cancels all calls when it ends, and is gone when the first of them is over."""
    ended: list[str] = []
    may_end = asyncio.Event()

    async def work() -> None:
        await may_end.wait()
        ended.append("work")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/working":
            after(work)
            await respond(send)
        else:
            await asyncio.Event().wait()

    wrapped = AfterMiddleware(app)
    working = asyncio.create_task(_call(wrapped, "/working"))
    idle = asyncio.create_task(_call(wrapped, "/idle"))
    await until(lambda: any(queue.live for queue in wrapped.pipeline.queues))
    for _ in range(2):
        working.cancel()
        idle.cancel()
        for _ in range(3):
            await asyncio.sleep(0)
    assert not idle.done()
    may_end.set()
    for call_ in (working, idle):
        with pytest.raises(asyncio.CancelledError):
            await call_

    assert ended == ["work"]


async def test_r74_a_cancelled_call_does_not_wait_for_others_for_ever() -> None:
    may_end = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/working":
            after(may_end.wait)
            await respond(send)
        else:
            await asyncio.Event().wait()

    wrapped = AfterMiddleware(app, grace=0.02)
    working = asyncio.create_task(_call(wrapped, "/working"))
    idle = asyncio.create_task(_call(wrapped, "/idle"))
    await until(lambda: any(queue.live for queue in wrapped.pipeline.queues))
    idle.cancel()
    with pytest.raises(asyncio.CancelledError):
        await idle
    assert not working.done()
    may_end.set()
    await working


async def test_a_crash_without_callbacks_holds_up_nothing() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("crash")

    with pytest.raises(RuntimeError, match="crash"):
        await _call(AfterMiddleware(app))


async def test_r74_the_patience_with_a_server_that_cancels_has_an_end(caplog: Any) -> None:
    app = AfterMiddleware(answering(lambda: after(asyncio.Event().wait) and None), grace=0.02)
    request = asyncio.create_task(_call(app))
    await until(lambda: app.pipeline.queues and all(q.live for q in app.pipeline.queues))
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request

    assert fields(caplog, "after.dropped")["reason"] == "cancelled by the server"


async def test_r74_a_handler_that_is_cancelled_gets_its_callbacks_run() -> None:
    ran: list[str] = []
    working = asyncio.Event()

    async def handler() -> None:
        after(ran.append, "x")
        working.set()
        await asyncio.Event().wait()

    app = AfterMiddleware(answering(handler))
    async with lifespan(app):
        request = asyncio.create_task(_call(app))
        await working.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await drain()

    assert ran == ["x"]


async def test_r74_a_platform_that_cancels_what_it_was_handed_cuts_the_work(caplog: Any) -> None:
    host = FakeHost()
    app = AfterMiddleware(answering(lambda: after(asyncio.Event().wait) and None), host=host)
    await call(app)
    (work,) = host.handed
    await asyncio.sleep(0)
    work.cancel()  # type: ignore[attr-defined]
    with pytest.raises(asyncio.CancelledError):
        await work
    await drain()

    assert fields(caplog, "after.dropped")["reason"] == "cancelled by the server"


async def test_r75_a_call_inside_a_callback_joins_the_drain_and_one_after_it_raises() -> None:
    ran: list[str] = []
    go = asyncio.Event()
    strays: list[asyncio.Task[None]] = []

    async def stray() -> None:
        await go.wait()
        with pytest.raises(QueueClosedError, match="after\\(task\\)"):
            after(ran.append, "too late")

    def first() -> None:
        after(ran.append, "nested")

    def handler() -> None:
        after(first)
        strays.append(asyncio.ensure_future(stray()))

    app = AfterMiddleware(answering(handler))
    async with lifespan(app):
        await call(app)
        await drain()
        go.set()
        await strays[0]

    assert ran == ["nested"]


async def test_r76_a_task_that_was_not_handed_over_is_not_waited_for() -> None:
    host = FakeHost()
    tasks: list[asyncio.Task[bool]] = []

    def handler() -> None:
        tasks.append(asyncio.ensure_future(asyncio.Event().wait()))
        after(lambda: None)

    await call(AfterMiddleware(answering(handler), host=host))
    await host.settle()

    assert not tasks[0].done()
    tasks[0].cancel()


async def test_an_app_without_a_lifespan_gets_one_that_drains() -> None:
    """Django raises for the lifespan scope; others just return."""
    for raises in (True, False):
        ran: list[str] = []
        inner = answering(lambda ran=ran: after(ran.append, "x") and None)

        async def app(
            scope: Scope, receive: Receive, send: Send, inner: Any = inner, raises: bool = raises
        ) -> None:
            if scope["type"] == "lifespan":
                if raises:
                    raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")
                return
            await inner(scope, receive, send)

        wrapped = AfterMiddleware(app)
        async with lifespan(wrapped) as life:
            await call(wrapped)
        assert ran == ["x"]
        assert life.log == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_app_whose_startup_raises_is_not_hidden() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise RuntimeError("no database")

    wire = Wire({}, [{"type": "lifespan.startup"}])
    with pytest.raises(RuntimeError, match="no database"):
        await AfterMiddleware(app)({"type": "lifespan"}, wire.receive, wire.send)


async def test_a_request_that_the_server_drops_is_reported(caplog: Any) -> None:
    """Its coroutine is closed where no loop can run anything any more."""

    class Never:
        def __await__(self) -> Any:
            yield

    def handler() -> Never:
        after.options(name="dropped")(print)
        return Never()

    def drop() -> None:
        app = AfterMiddleware(answering(handler))
        for request in (app, AfterMiddleware(answering(Never))):  # with a callback and without
            coroutine = request(http_scope(), Wire({}).receive, Wire({}).send)
            Context().run(coroutine.send, None)
            coroutine.close()  # in another context, as the collector does

    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            drop()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()

    assert errors == []
    assert fields(caplog, "after.dropped")["reason"] == "the server dropped the request"
    assert "run.cancelled" in events(caplog)


async def _call(app: Any, path: str = "/") -> None:
    await app(http_scope(path), Wire({}).receive, Wire({}).send)
