"""R56 to R63: what a callback sees. R64 is in tests/integrations/test_opentelemetry.py.

The cases: R56, R57, R58, R59, R60, R61, R62, R63, R64.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from afterwork import AfterMiddleware, Retry, after, current_run
from afterwork.errors import ResponseSentError
from afterwork.testing import FakeHost
from tests.support import answering, call, fields, http_scope, respond

if TYPE_CHECKING:
    from afterwork._asgi import Receive, Scope, Send

user: ContextVar[str] = ContextVar("user", default="nobody")


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_r56_r57_a_callback_sees_context_as_it_was_at_the_call(kind: str) -> None:
    seen: list[str] = []

    def sync() -> None:
        seen.append(user.get())

    async def asynchronous() -> None:
        seen.append(user.get())

    def handler() -> None:
        user.set("at the call")
        after(sync if kind == "sync" else asynchronous)
        user.set("changed")

    await call(AfterMiddleware(answering(handler)))

    assert seen == ["at the call"]


async def test_what_a_callback_sets_is_seen_by_nobody_else() -> None:
    seen: list[str] = []

    def setting(name: str) -> None:
        seen.append(user.get())
        user.set(name)

    async def setting_async(name: str) -> None:
        setting(name)

    def handler() -> None:
        user.set("handler")
        after(setting, "a")
        after(setting_async, "b")
        after(setting, "c")

    await call(AfterMiddleware(answering(handler), sequential=True))

    assert seen == ["handler"] * 3


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_later_attempt_does_not_see_what_an_earlier_one_set(kind: str) -> None:
    seen: list[str] = []

    def flaky() -> None:
        seen.append(user.get())
        user.set(f"attempt {current_run().attempt}")
        raise RuntimeError

    async def flaky_async() -> None:
        flaky()

    retry = Retry(3, delay=0)
    options = after.options(retry=retry)
    handler = flaky if kind == "sync" else flaky_async
    await call(AfterMiddleware(answering(lambda: options(handler) and None)))

    assert seen == ["nobody"] * 3


async def test_r58_interleaved_requests_share_no_value_no_host_and_no_outcome() -> None:
    both = asyncio.Barrier(2)
    hosts = {"/a": FakeHost(), "/b": FakeHost()}
    seen: dict[str, tuple[str, Any]] = {}

    async def work() -> None:
        await both.wait()
        response = current_run().response
        assert response is not None
        seen[user.get()] = (user.get(), response.status)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        user.set(scope["path"])
        await both.wait()
        after(work)
        await both.wait()
        await respond(send, 200 if scope["path"] == "/a" else 404)

    wrapped = AfterMiddleware(app)

    async def request(path: str) -> None:
        await call(wrapped, scope=http_scope(path, afterwork=hosts[path]))

    await asyncio.gather(request("/a"), request("/b"))
    await asyncio.gather(*(host.settle() for host in hosts.values()))

    assert seen == {"/a": ("/a", 200), "/b": ("/b", 404)}
    assert [len(host.handed) for host in hosts.values()] == [1, 1]


async def test_r59_a_nested_callback_sees_its_callers_context() -> None:
    seen: list[str] = []

    def outer() -> None:
        user.set("outer")
        after(inner)
        user.set("changed")

    def inner() -> None:
        seen.append(user.get())

    await call(AfterMiddleware(answering(lambda: after(outer) and None)))

    assert seen == ["outer"]


async def test_r60_the_request_can_be_read_in_a_callback() -> None:
    seen: list[Any] = []

    def callback() -> None:
        scope = current_run().scope
        assert scope is not None
        seen.append((scope["method"], scope["path"], dict(scope["headers"])[b"cookie"]))

    scope = http_scope("/orders", "POST", headers=[(b"cookie", b"session=1")])
    await call(AfterMiddleware(answering(lambda: after(callback) and None)), scope=scope)

    assert seen == [("POST", "/orders", b"session=1")]


async def test_r61_a_callback_that_tries_to_change_the_response_gets_a_clear_error(
    caplog: Any,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def callback() -> None:
            await send({"type": "http.response.body", "body": b"more"})

        after(callback)
        await respond(send)

    wire = await call(AfterMiddleware(app))

    assert len(wire.messages) == 2
    assert fields(caplog, "run.failed")["callback"].endswith("callback")
    (record,) = [r for r in caplog.records if r.exc_info]
    assert isinstance(record.exc_info[1], ResponseSentError)
    assert "only read it" in str(record.exc_info[1])


async def test_r61_what_is_known_of_the_response_is_frozen() -> None:
    errors: list[str] = []

    def callback() -> None:
        response: Any = current_run().response
        with pytest.raises(AttributeError, match="the response is over") as caught:
            response.status = 500
        errors.append(str(caught.value))
        with pytest.raises(AttributeError, match="cannot be deleted"):
            del response.status

    await call(AfterMiddleware(answering(lambda: after(callback) and None)))

    assert len(errors) == 1


async def test_r62_the_same_holds_in_a_nested_callback() -> None:
    seen: list[Any] = []

    def outer() -> None:
        after(inner)

    async def inner() -> None:
        run = current_run()
        assert run.scope is not None
        assert run.response is not None
        seen.append((run.scope["path"], run.response.status))

    await call(AfterMiddleware(answering(lambda: after(outer) and None)), "/nested")

    assert seen == [("/nested", 200)]


async def test_r63_headers_and_cookies_are_those_that_were_sent() -> None:
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(lambda: seen.append(current_run().response))
        await respond(send, headers=[(b"x", b"handler")])

    async def adding(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"set-cookie", b"a=1")]}
            await send(message)

        await app(scope, receive, send_more)

    await call(AfterMiddleware(adding))

    assert seen[0].headers == ((b"x", b"handler"), (b"set-cookie", b"a=1"))


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_events_keep_the_keys_that_the_request_had_bound(kind: str) -> None:
    lines: list[dict[str, Any]] = []

    def keep(logger: Any, method: str, event: Any) -> Any:
        lines.append({**event, "level": method})
        raise structlog.DropEvent

    def fail() -> None:
        raise RuntimeError("no")

    async def fail_async() -> None:
        raise RuntimeError("no")

    def handler() -> None:
        structlog.contextvars.bind_contextvars(request_id="r-7")
        after(fail if kind == "sync" else fail_async)
        structlog.contextvars.bind_contextvars(request_id="changed")

    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    try:
        await call(AfterMiddleware(answering(handler)))
    finally:
        structlog.reset_defaults()

    (line,) = lines
    assert line["event"] == "run.failed"
    assert line["level"] == "error"
    assert line["request_id"] == "r-7"
    assert isinstance(line["exc_info"], RuntimeError)
    assert line["duration_seconds"] >= 0
