"""R26 to R37: a failing callback disturbs nobody, and is seen.

The cases: R26, R27, R28, R29, R30, R31, R32, R33, R34, R35, R36, R37.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import AfterMiddleware, Run, after
from afterwork.testing import FakeHost, drain, strict
from tests.support import answering, call, events, fields, lifespan, respond

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send


class BadError(Exception):
    """What callbacks raise here."""


def fail() -> None:
    raise BadError("sync")


async def fail_late() -> None:
    await asyncio.sleep(0)
    raise BadError("async")


async def test_r26_r27_siblings_complete_the_reporter_sees_each_error_and_the_host_none() -> None:
    host = FakeHost()
    seen: list[Run] = []
    ran: list[str] = []

    def handler() -> None:
        after(fail)
        after(fail_late)
        after(asyncio.ensure_future(fail_late()))
        after(ran.append, "fourth")

    app = AfterMiddleware(answering(handler), host=host, reporters=[seen.append])
    await call(app)
    await host.settle()  # R27: raises nothing

    assert ran == ["fourth"]
    errors = [run for run in seen if run.error is not None]
    assert sorted(str(run.error) for run in errors) == ["async", "async", "sync"]
    assert {run.outcome for run in errors} == {"failed"}


async def test_r28_a_reporter_that_raises_is_logged_and_nothing_else(caplog: Any) -> None:
    ran: list[str] = []
    seen: list[Run] = []

    def broken(run: Run) -> None:
        raise BadError("reporter")

    def handler() -> None:
        after(fail)
        after(ran.append, "sibling")

    await call(AfterMiddleware(answering(handler), reporters=[broken, seen.append]))

    assert ran == ["sibling"]
    assert len(seen) == 2
    assert events(caplog).count("reporter.failed") == 2


async def test_r30_the_client_sees_its_response_and_nothing_more() -> None:
    wire = await call(AfterMiddleware(answering(lambda: after(fail) and None)))

    assert wire.status == 200
    assert wire.body == b"ok"
    assert len(wire.messages) == 2


async def test_r31_no_warning_is_left_behind(caplog: Any) -> None:
    def handler() -> None:
        after(fail_late)
        after(fail_late())
        after(asyncio.ensure_future(fail_late()))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await call(AfterMiddleware(answering(handler)))
        gc.collect()
        await asyncio.sleep(0)

    assert [r.name for r in caplog.records if r.levelno >= logging.ERROR] == ["afterwork"] * 3


async def test_r32_a_callback_that_raises_cancelled_error_has_failed(caplog: Any) -> None:
    seen: list[Run] = []
    ran: list[str] = []

    async def cancelling() -> None:
        raise asyncio.CancelledError

    async def late() -> None:
        await asyncio.sleep(0)
        ran.append("sibling")

    def handler() -> None:
        after(cancelling)
        after(late)

    await call(AfterMiddleware(answering(handler), reporters=[seen.append]))

    assert ran == ["sibling"]
    assert [run.outcome for run in seen] == ["failed", "succeeded"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_r32_interrupts_are_for_the_process(error: type[BaseException], kind: str) -> None:
    def stop() -> None:
        raise error

    async def stop_async() -> None:
        await asyncio.sleep(0)
        raise error

    app = AfterMiddleware(answering(lambda: after(stop if kind == "sync" else stop_async) and None))

    async def main() -> None:
        async with lifespan(app):
            await call(app)
            await asyncio.sleep(5)

    with pytest.raises(error):
        asyncio.run(main())


async def test_r33_a_host_that_cannot_tell_its_deadline_costs_no_callback(caplog: Any) -> None:
    class Broken(FakeHost):
        def deadline(self, scope: Scope) -> float | None:
            raise BadError("deadline")

    host = Broken()
    ran: list[str] = []
    await call(AfterMiddleware(answering(lambda: after(ran.append, "x") and None), host=host))
    await host.settle()

    assert ran == ["x"]
    assert fields(caplog, "host.failed")["call"] == "deadline"


async def test_r33_an_app_that_never_answers_still_gets_its_callbacks_run() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(lambda: seen.append(current()))

    from afterwork import current_run

    def current() -> Any:
        return current_run().response

    async with lifespan(wrapped := AfterMiddleware(app)):
        await call(wrapped)
        await drain()

    assert seen[0].status == 500
    assert not seen[0].completed
    assert not seen[0].success


async def test_r34_the_error_is_logged_once_with_the_place_of_the_call(caplog: Any) -> None:
    def handler() -> None:
        after(fail)

    await call(AfterMiddleware(answering(handler)))

    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info[0] is BadError
    place = fields(caplog, "run.failed")["queued_at"]
    assert place.startswith(f"{__file__}:{handler.__code__.co_firstlineno + 1} in ")
    assert place.endswith("handler")
    assert "afterwork/_pipeline" not in caplog.text  # our own frames are not in the traceback


async def test_r35_a_nested_failure_shows_every_call_of_its_chain(caplog: Any) -> None:
    def first() -> None:
        after(second)

    def second() -> None:
        after(fail)

    def handler() -> None:
        after(first)

    await call(AfterMiddleware(answering(handler)))

    failed = fields(caplog, "run.failed")
    chain = [failed["queued_at"], *failed["called_from"]]
    assert [site.rsplit(".", 1)[-1] for site in chain] == ["second", "first", "handler"]


async def test_r36_strict_mode_raises_every_error_at_the_end_of_the_drain() -> None:
    def handler() -> None:
        after(fail)
        after(fail_late)

    app = AfterMiddleware(answering(handler))
    async with strict():
        wire = await call(app)
        assert wire.status == 200
        with pytest.raises(ExceptionGroup) as caught:
            await drain()

    assert sorted(map(str, caught.value.exceptions)) == ["async", "sync"]


async def test_r37_the_report_carries_the_request_that_queued_it() -> None:
    seen: list[Run] = []
    both = asyncio.Barrier(2)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await both.wait()
        after.options(name=scope["path"])(fail_late)
        await both.wait()
        await respond(send)

    wrapped = AfterMiddleware(app, reporters=[seen.append])
    await asyncio.gather(call(wrapped, "/a"), call(wrapped, "/b"))

    assert sorted(run.name for run in seen) == ["/a", "/b"]
    for run in seen:
        assert run.scope is not None
        assert run.scope["path"] == run.name


async def test_an_event_names_the_callback_but_never_its_arguments(caplog: Any) -> None:
    def handler() -> None:
        after(fail_with, "secret-token")

    def fail_with(token: str) -> None:
        raise BadError("no")

    await call(AfterMiddleware(answering(handler)))

    assert "fail_with" in caplog.text
    assert "secret-token" not in "".join(r.getMessage() for r in caplog.records)


async def test_a_failure_in_a_thread_does_not_cost_the_thread() -> None:
    threads: list[int] = []

    def note() -> None:
        threads.append(threading.get_ident())
        raise BadError

    app = AfterMiddleware(answering(lambda: after(note) and None), threads=1)
    await call(app)
    await call(app)

    assert len(set(threads)) == 1
