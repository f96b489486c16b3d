"""A client that has its response can rely on what the request wrote down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trio
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from afterwork import AfterMiddleware, Afterwork, Deferred, Run, after
from afterwork.engines import Envelope
from afterwork.errors import (
    EngineError,
    InvalidJobError,
    InvalidOptionError,
    NoRequestError,
    PayloadError,
)
from afterwork.testing import FakeHost, capture, drain
from tests.durable_unit.support import ListEngine, finished, new_work
from tests.support import Wire, answering, call, events, fields, http_scope, respond, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from afterwork._asgi import ASGIApp, Receive, Scope, Send
    from afterwork._job import Job


class App:
    """An app with a durable job, and its engine."""

    def __init__(self, **settings: Any) -> None:
        self.engine = ListEngine()
        self.reported: list[Run] = []
        self.work: Afterwork = new_work(self.engine, reporters=[self.reported.append], **settings)
        self.ran: list[Any] = []

        async def job(value: Any = None) -> None:
            raise AssertionError("an engine runs it, and not the request")

        self.job: Job[..., Any] = self.work.job(durable=True)(job)

    def wrap(self, handler: Callable[[], Any], status: int = 200) -> ASGIApp:
        return self.work.wrap(answering(handler, status))

    @property
    def payloads(self) -> list[str]:
        return [envelope.payload for envelope in self.engine.envelopes]

    def nothing_is_left(self) -> None:
        assert not self.work.pipeline.queues


async def test_the_response_waits_for_the_call_and_one_write_takes_all() -> None:
    app = App()
    app.engine.gate = asyncio.Event()

    def handler() -> None:
        after(app.job, 1)
        after(app.ran.append, "beside")
        after(app.job, value=2)

    wire = Wire(http_scope())
    asgi = app.wrap(handler)
    task = asyncio.create_task(_call(asgi, wire))
    await until(lambda: app.engine.asked)
    await asyncio.sleep(0.01)
    assert (wire.messages, app.ran) == ([], [])
    app.engine.gate.set()
    await task
    assert wire.status == 200
    assert app.payloads == ["[[1], {}]", '[[], {"value": 2}]']
    assert app.engine.batches == [2]
    await until(lambda: app.ran == ["beside"])
    await drain()
    app.nothing_is_left()


async def _call(app: ASGIApp, wire: Wire) -> None:
    await app(wire.scope, wire.receive, wire.send)


async def test_the_call_has_its_id_at_once_and_is_over_for_the_request(caplog: Any) -> None:
    app = App()
    calls: list[Deferred] = []
    await call(app.wrap(lambda: calls.append(after(app.job, 1))))
    await drain()
    assert calls[0].done
    assert calls[0].outcome is None
    assert calls[0].run_id == app.engine.envelopes[0].id
    assert app.reported == []
    assert not [event for event in events(caplog) if event.startswith("run.")]


async def test_a_failing_write_raises_from_send_and_the_error_page_goes_through() -> None:
    app = App()
    app.engine.down = True
    seen: list[BaseException] = []
    calls: list[Deferred] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(after(app.job, 1))
        after(app.ran.append, "beside")
        try:
            await respond(send)
        except EngineError as error:
            seen.append(error)
            await respond(send, 500, b"sorry")

    wire = await call(app.work.wrap(inner))
    assert (wire.status, wire.body) == (500, b"sorry")
    assert [m["type"] for m in wire.messages] == ["http.response.start", "http.response.body"]
    assert len(seen) == 1
    assert calls[0].done
    await until(lambda: app.ran == ["beside"])
    await drain()
    assert app.engine.asked == 1
    assert app.payloads == []
    app.nothing_is_left()


@pytest.mark.parametrize("sync", [True, False])
@pytest.mark.parametrize("kind", ["starlette", "fastapi"])
@pytest.mark.parametrize("down", [True, False])
async def test_frameworks_answer_500_where_it_cannot_be_written(
    kind: str, sync: bool, down: bool
) -> None:
    app = App()
    app.engine.down = down

    def endpoint(request: Any = None) -> Any:
        after(app.job, 1)
        after(app.ran.append, "beside")
        return PlainTextResponse("ok")

    async def async_endpoint(request: Any = None) -> Any:
        return endpoint()

    chosen: Any = endpoint if sync else async_endpoint
    inner: Any
    if kind == "starlette":
        inner = Starlette(routes=[Route("/", chosen)])
    else:
        inner = FastAPI()
        inner.get("/")(lambda: endpoint()) if sync else inner.get("/")(_no_arguments(endpoint))
    transport = httpx.ASGITransport(app.work.wrap(inner), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        answer = await client.get("/")
    assert answer.status_code == (500 if down else 200)
    assert app.payloads == ([] if down else ["[[1], {}]"])
    await until(lambda: app.ran == ["beside"])
    await drain()
    app.nothing_is_left()


def _no_arguments(endpoint: Any) -> Any:
    async def handler() -> Any:
        return endpoint()

    return handler


async def test_an_app_that_lets_the_error_go_has_sent_nothing(caplog: Any) -> None:
    app = App()
    app.engine.down = True
    wire = Wire(http_scope())
    with pytest.raises(EngineError):
        await _call(app.wrap(lambda: after(app.job, 1)), wire)
    assert wire.messages == []
    await drain()
    app.nothing_is_left()


@pytest.mark.parametrize(
    ("on", "status", "written"),
    [
        ("success", 200, 1),
        ("success", 302, 1),
        ("success", 404, 0),
        ("success", 500, 0),
        ("error", 200, 0),
        ("error", 404, 1),
        ("always", 500, 1),
        (lambda response: response.status == 418, 418, 1),
        (lambda response: response.status == 418, 200, 0),
    ],
)
async def test_its_condition_is_asked_of_the_response_that_is_held(
    on: Any, status: int, written: int, caplog: Any
) -> None:
    app = App()
    await call(app.wrap(lambda: after.options(on=on)(app.job, 1), status))
    await drain()
    assert len(app.payloads) == written
    assert ("run.skipped" in events(caplog)) is (not written)
    app.nothing_is_left()


async def test_a_condition_that_raises_fails_alone_and_holds_nothing_up(caplog: Any) -> None:
    app = App()

    def condition(response: Any) -> bool:
        raise ValueError("no")

    def handler() -> None:
        after.options(on=condition)(app.job, 1)
        after(app.job, 2)

    assert (await call(app.wrap(handler))).status == 200
    await drain()
    assert app.payloads == ["[[2], {}]"]
    assert [str(run.error) for run in app.reported] == ["no"]
    app.nothing_is_left()


async def test_an_error_after_the_start_meets_on_error_in_the_drain() -> None:
    app = App()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        after.options(on="error")(app.job, 1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="middle"):
        await call(app.work.wrap(inner))
    await until(lambda: app.payloads == ["[[1], {}]"])
    await drain()


@pytest.mark.parametrize("down", [True, False])
async def test_when_sent_the_response_does_not_wait(down: bool, caplog: Any) -> None:
    app = App()
    app.engine.gate = asyncio.Event()
    app.engine.down = down
    wire = Wire(http_scope())
    calls: list[Deferred] = []
    asgi = app.wrap(lambda: calls.append(after.options(when="sent")(app.job, 1)))
    task = asyncio.create_task(_call(asgi, wire))
    await until(lambda: len(wire.messages) == 2)
    await until(lambda: app.engine.asked)
    app.engine.gate.set()
    await task
    await drain()
    assert app.payloads == ([] if down else ["[[1], {}]"])
    assert ("run.failed" in events(caplog)) is down
    assert [str(run.outcome) for run in app.reported] == ["failed"] * down
    app.nothing_is_left()


async def test_calls_made_after_the_start_are_written_in_the_drain() -> None:
    app = App()

    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        after(app.job, 1)
        yield b"two"

    async def endpoint(request: Any) -> StreamingResponse:
        return StreamingResponse(body())

    wire = await call(app.work.wrap(Starlette(routes=[Route("/", endpoint)])))
    assert wire.body == b"onetwo"
    await drain()
    assert app.payloads == ["[[1], {}]"]
    app.nothing_is_left()


async def test_a_call_made_while_the_start_is_held_is_written_before_it() -> None:
    app = App()
    app.engine.gate = asyncio.Event()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        after(app.job, 1)
        sending = asyncio.create_task(_respond(send))
        await until(lambda: app.engine.asked == 1)
        after(app.job, 2)
        app.engine.gate.set()
        await sending

    wire = await call(app.work.wrap(inner))
    assert wire.status == 200
    assert app.engine.batches == [1, 1]
    await drain()
    app.nothing_is_left()


async def _respond(send: Send) -> None:
    await respond(send)


@pytest.mark.parametrize("status", [None, 200])
async def test_an_app_that_raises_or_never_answers_still_writes(status: int | None) -> None:
    app = App()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        after(app.job, 1)
        if status is None:
            raise ValueError("without a start")

    if status is None:
        with pytest.raises(ValueError, match="without"):
            await call(app.work.wrap(inner))
    else:
        await call(app.work.wrap(inner))
    await until(lambda: app.payloads == ["[[1], {}]"])
    await drain()
    app.nothing_is_left()


async def test_a_websocket_is_accepted_once_it_is_written() -> None:
    app = App()
    order: list[str] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        after(app.job, 1)
        after.options(on="success")(app.job, 2)
        await send({"type": "websocket.accept"})
        order.append(f"accepted with {len(app.payloads)}")
        after(app.job, 3)
        await send({"type": "websocket.close"})

    await call(app.work.wrap(inner), scope={"type": "websocket", "path": "/", "headers": []})
    await drain()
    assert order == ["accepted with 2"]
    assert len(app.payloads) == 3
    app.nothing_is_left()


async def test_a_request_that_is_cancelled_while_it_is_held_is_reported(caplog: Any) -> None:
    app = App()
    app.engine.gate = asyncio.Event()
    wire = Wire(http_scope())

    def handler() -> None:
        after(app.job, 1)
        after(app.ran.append, "beside")

    task = asyncio.create_task(_call(app.wrap(handler), wire))
    await until(lambda: app.engine.asked)
    await finished(task)
    assert task.cancelled()
    assert wire.messages == []
    await until(lambda: app.ran == ["beside"])
    await drain()
    assert app.payloads == []
    (told,) = [run for run in app.reported if str(run.outcome) == "cancelled"]
    assert told.name == "job"
    reason = "its request was cancelled before it was written"
    assert fields(caplog, "run.cancelled")["reason"] == reason
    app.nothing_is_left()


async def test_a_client_that_left_costs_nothing_that_was_written() -> None:
    app = App()

    async def gone(message: Any) -> None:
        raise OSError("the client is gone")

    wire = Wire(http_scope())
    with pytest.raises(OSError, match="gone"):
        await app.wrap(lambda: after(app.job, 1))(wire.scope, wire.receive, gone)
    assert app.payloads == ["[[1], {}]"]
    await drain()
    app.nothing_is_left()


async def test_what_is_cancelled_before_the_start_is_not_written() -> None:
    app = App()

    def handler() -> None:
        assert after(app.job, 1).cancel()
        after.options(key="k")(app.job, 2)
        after.options(key="k")(app.job, 3)
        after.options(key="c")(app.job, 4)
        assert after.cancel("c")

    await call(app.wrap(handler))
    await drain()
    assert app.payloads == ["[[3], {}]"]
    app.nothing_is_left()


async def test_the_keys_of_a_durable_job_are_its_own() -> None:
    app = App()
    other = app.work.job(name="other", durable=True)(len)

    def handler() -> None:
        after.options(key="k")(app.job, 1)
        after.options(key="k")(other, [])
        after.options(key="k")(app.ran.append, 2)
        after.options(key="k")(app.ran.append, 3)

    await call(app.wrap(handler))
    await until(lambda: app.ran == [3])
    await drain()
    assert [each.job for each in app.engine.envelopes] == ["job", "other"]
    app.nothing_is_left()


@pytest.mark.parametrize("down", [True, False])
async def test_behind_a_middleware_that_sends_from_another_task(down: bool) -> None:
    app = App()
    app.engine.down = down

    async def endpoint(request: Any) -> PlainTextResponse:
        after(app.job, 1)
        return PlainTextResponse("ok")

    async def dispatch(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    inner = Starlette(
        routes=[Route("/", endpoint)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)],
    )
    transport = httpx.ASGITransport(app.work.wrap(inner), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        answer = await client.get("/")
    assert answer.status_code == (500 if down else 200)
    assert len(app.payloads) == (not down)
    await drain()
    app.nothing_is_left()


@pytest.mark.parametrize("down", [True, False])
def test_with_the_frameworks_test_client(down: bool) -> None:
    app = App()
    app.engine.down = down

    def endpoint(request: Any) -> PlainTextResponse:
        after(app.job, 1)
        return PlainTextResponse("ok")

    inner = Starlette(routes=[Route("/", endpoint)])
    with TestClient(app.work.wrap(inner), raise_server_exceptions=False) as client:
        assert client.get("/").status_code == (500 if down else 200)
    assert len(app.payloads) == (not down)
    app.nothing_is_left()


def test_the_kit_shows_a_durable_call_and_writes_nothing() -> None:
    app = App()
    with capture() as calls:
        after.options(delay=5)(app.job, 1)
    assert (calls.names, calls[0].args) == (["job"], (1,))
    assert app.engine.asked == 0


async def test_what_is_being_written_or_was_written_cannot_be_cancelled_here() -> None:
    app = App()
    app.engine.gate = asyncio.Event()
    answers: list[bool] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        deferred = after.options(key="k")(app.job, 1)
        sending = asyncio.create_task(_respond(send))
        await until(lambda: app.engine.asked)
        answers.append(deferred.cancel())
        app.engine.gate.set()
        await sending
        answers.append(deferred.cancel())
        answers.append(after.cancel("k"))

    await call(app.work.wrap(inner))
    await drain()
    assert answers == [False, False, False]
    assert app.payloads == ["[[1], {}]"]
    app.nothing_is_left()


async def test_what_was_written_is_not_told_as_dropped_at_a_shutdown(caplog: Any) -> None:
    app = App()
    written = asyncio.Event()
    calls: list[Deferred] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(after(app.job, 1))
        calls.append(after.options(when="sent")(app.job, 2))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        written.set()
        await asyncio.Event().wait()

    wire = Wire(http_scope())
    task = asyncio.create_task(_call(app.work.wrap(inner), wire))
    await written.wait()
    from afterwork._closing import close
    from afterwork._loop import current_loop

    loop = current_loop()
    assert loop is not None
    await close(app.work.pipeline, loop, 0.0)
    assert [each.done for each in calls] == [True, True]
    assert fields(caplog, "after.dropped")["count"] == 1
    assert [str(run.outcome) for run in app.reported] == ["cancelled"]
    assert app.payloads == ["[[1], {}]"]
    await finished(task)


async def test_two_connections_are_two_writes() -> None:
    from afterwork.engines import Capabilities

    app = App()
    app.engine.capabilities = Capabilities(transaction=True)
    one, other = object(), object()

    def handler() -> None:
        for number, connection in enumerate((one, other, one)):
            after.options(connection=connection)(app.job, number)

    await call(app.wrap(handler))
    assert app.engine.batches == [2, 1]
    assert [each is one for each in app.engine.connections] == [True, False]
    await drain()


async def test_inside_a_callback_and_inside_a_job(caplog: Any) -> None:
    app = App()

    async def callback() -> None:
        after(app.job, "from a callback")

    @app.work.job
    async def plain() -> None:
        after(app.job, "from a job")

    await call(app.wrap(lambda: after(callback)))
    await drain()
    run = await app.work.run(plain)
    assert str(run.outcome) == "succeeded"
    assert app.payloads == ['[["from a callback"], {}]', '[["from a job"], {}]']
    app.nothing_is_left()


async def test_outside_of_a_request_only_enqueue_writes() -> None:
    app = App()
    with pytest.raises(NoRequestError):
        after(app.job, 1)
    first = await after.options(key="k", delay=60).enqueue(app.job, 1)
    assert first == app.engine.envelopes[0].id
    assert await after.options(key="k").enqueue(app.job, 2) == first
    app.engine.down = True
    with pytest.raises(EngineError):
        await after.enqueue(app.job, 3)
    assert app.payloads == ["[[1], {}]"]


async def test_what_enqueue_refuses() -> None:
    app = App()
    plain = app.work.job(name="plain")(len)
    with pytest.raises(InvalidJobError, match="'plain' is not durable, so there is nothing"):
        await after.enqueue(plain, [])
    with pytest.raises(InvalidJobError, match="enqueue.. takes a job; it was given <built-in"):
        no_job: Any = len
        await after.enqueue(no_job, [])
    given: dict[str, Any]
    for given in ({"on": "success"}, {"early": True}, {"when": "sent"}):
        with pytest.raises(
            InvalidOptionError, match=r"left out: enqueue\(\) waits for no response"
        ):
            await after.options(**given).enqueue(app.job)
    with pytest.raises(PayloadError, match="'value'"):
        await after.enqueue(app.job, object())
    assert app.engine.asked == 0


async def test_mistakes_are_raised_at_the_call_and_nothing_is_queued() -> None:
    app = App()
    plain = app.work.job(name="plain")(len)
    caught: list[Exception] = []

    def handler() -> None:
        mistakes: list[Callable[[], Any]] = [
            lambda: after(app.job, object()),
            lambda: after(app.job, 1, 2),
            lambda: after.options(delay=1)(plain, []),
            lambda: after.options(priority=1)(len, []),
            lambda: after.options(timeout=1)(app.job, 1),
        ]
        for wrong in mistakes:
            try:
                wrong()
            except Exception as error:
                caught.append(error)

    await call(app.wrap(handler))
    assert [type(error) for error in caught] == [
        PayloadError,
        TypeError,
        InvalidOptionError,
        InvalidOptionError,
        InvalidOptionError,
    ]
    assert "delay must be left out, or 'plain' be registered with durable=True" in str(caught[2])
    assert "priority must be left out, or the call be one of a job" in str(caught[3])
    assert "left out for a durable call; give it to the job 'job'" in str(caught[4])
    assert app.engine.asked == 0
    app.nothing_is_left()


async def test_nested_middleware_writes_once() -> None:
    app = App()
    inner = AfterMiddleware(answering(lambda: after(app.job, 1)))
    await call(app.work.wrap(inner))
    await drain()
    assert app.payloads == ["[[1], {}]"]
    app.nothing_is_left()


@pytest.mark.parametrize("settings", [{"sequential": True}, {"early": True}])
async def test_callbacks_that_take_turns_or_start_early(settings: Any) -> None:
    app = App(**settings)

    def handler() -> None:
        after(app.job, 1)
        after(app.ran.append, "beside")
        after.options(when="sent", early=True)(app.job, 2)

    await call(app.wrap(handler))
    await until(lambda: app.ran == ["beside"])
    await drain()
    assert app.payloads == ["[[1], {}]", "[[2], {}]"]
    app.nothing_is_left()


@pytest.mark.parametrize("mode", ["before_end", "inline", "handover", "detached"])
@pytest.mark.parametrize("when", ["recorded", "sent"])
async def test_on_every_kind_of_host(mode: Any, when: Any) -> None:
    host = FakeHost(mode)
    app = App(host=host)

    def handler() -> None:
        after.options(when=when)(app.job, 1)
        after(app.ran.append, "beside")

    wire = await call(app.wrap(handler))
    assert wire.status == 200
    await host.settle()
    await drain()
    assert app.payloads == ["[[1], {}]"]
    assert app.ran == ["beside"]
    app.nothing_is_left()


@pytest.mark.parametrize("when", ["recorded", "sent"])
@pytest.mark.parametrize("down", [True, False])
def test_on_trio(when: Any, down: bool) -> None:
    app = App()
    app.engine.down = down
    wire = Wire(http_scope())
    statuses: list[int] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        after.options(when=when)(app.job, 1)
        try:
            await respond(send)
        except EngineError:
            await respond(send, 500)
        statuses.append(wire.status)

    async def main() -> None:
        with trio.fail_after(5):
            await app.work.wrap(inner)(wire.scope, wire.receive, wire.send)

    trio.run(main)
    assert statuses == [500 if down and when == "recorded" else 200]
    assert app.payloads == ([] if down else ["[[1], {}]"])
    app.nothing_is_left()


def test_on_trio_a_cancelled_request_is_reported() -> None:
    app = App()
    wire = Wire(http_scope())

    async def main() -> None:
        app.engine.gate = trio.Event()
        with trio.fail_after(5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_call, app.wrap(lambda: after(app.job, 1)), wire)
                while not app.engine.asked:
                    await trio.sleep(0.001)
                nursery.cancel_scope.cancel()

    trio.run(main)
    assert (wire.messages, app.payloads) == ([], [])
    assert [str(run.outcome) for run in app.reported] == ["cancelled"]
    app.nothing_is_left()


async def test_a_write_that_is_cut_is_told_and_may_still_come_about(caplog: Any) -> None:
    app = App(budget=0.02)
    app.engine.gate = asyncio.Event()
    await call(app.wrap(lambda: after.options(when="sent")(app.job, 1)))
    assert [str(run.outcome) for run in app.reported] == ["cancelled"]
    assert fields(caplog, "after.dropped")["reason"] == "deadline"
    app.engine.gate.set()
    await until(lambda: app.payloads == ["[[1], {}]"])
    await drain()
    app.nothing_is_left()


async def test_a_name_with_commit_is_the_jobs_own_if_it_has_one() -> None:
    app = App()

    @app.work.job(durable=True)
    def release(commit: str) -> None: ...

    await call(app.wrap(lambda: after(release, commit="abc")))
    assert app.payloads == ['[[], {"commit": "abc"}]']
    await drain()


async def test_a_request_that_the_server_dropped_loses_nothing_that_was_written(
    caplog: Any,
) -> None:
    app = App()
    held = asyncio.Event()

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        after(app.job, 1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        held.set()
        await asyncio.Event().wait()

    coroutine: Any = _call(app.work.wrap(inner), Wire(http_scope()))
    while not held.is_set():
        coroutine.send(None)
    coroutine.close()
    assert app.payloads == ["[[1], {}]"]
    assert "after.dropped" not in events(caplog)
    app.nothing_is_left()


def test_an_envelope_says_where_and_when_the_call_was_made() -> None:
    app = App()
    envelope: list[Envelope] = app.engine.envelopes

    async def main() -> None:
        await after.options(delay="5m", priority=7).enqueue(app.job, 1)

    asyncio.run(main())
    now = app.work.pipeline.clock.now()
    assert (envelope[0].run_at, envelope[0].priority, envelope[0].enqueued_at) == (
        now + 300,
        7,
        now,
    )
