"""R38 to R55: what counts as the end of a response, and what callbacks learn of it.

The cases: R38, R39, R40, R41, R42, R43, R44, R45, R46, R47, R48, R49, R50, R51, R52, R53, R54, R55.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import AfterMiddleware, ResponseInfo, after, current_run
from afterwork.testing import FakeHost, drain
from tests.support import Wire, answering, call, http_scope, lifespan, respond, until

if TYPE_CHECKING:
    from afterwork._asgi import Message, Receive, Scope, Send


class Seen(list[ResponseInfo]):
    """A callback that keeps the response it ran after."""

    def __call__(self) -> None:
        response = current_run().response
        assert response is not None
        self.append(response)


async def test_r38_a_redirect_runs_callbacks() -> None:
    seen = Seen()

    await call(AfterMiddleware(answering(lambda: after(seen) and None, 307)))

    assert [response.status for response in seen] == [307]


async def test_r39_an_error_answer_made_after_the_call_runs_callbacks() -> None:
    seen = Seen()

    class NotFoundError(Exception): ...

    async def framework(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            after(seen)
            raise NotFoundError
        except NotFoundError:
            await respond(send, 404)

    await call(AfterMiddleware(framework))

    assert [response.status for response in seen] == [404]


async def test_r40_an_unhandled_exception_runs_callbacks_and_reaches_the_server() -> None:
    seen = Seen()
    error = RuntimeError("handler")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("no lifespan")
        after(seen)
        raise error

    app = AfterMiddleware(app)
    async with lifespan(app):
        with pytest.raises(RuntimeError) as caught:
            await app(http_scope(), Wire({}).receive, Wire({}).send)
        assert seen == []  # nothing starts before the server could send its 500
        await until(lambda: len(seen) == 1)
        await drain()

    assert caught.value is error
    assert seen[0].error is error
    assert seen[0].status == 500
    assert not seen[0].completed


async def test_r40_without_a_lifespan_the_server_is_not_held_up_for_its_answer_either() -> None:
    may_end = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(may_end.wait)
        raise RuntimeError

    wrapped = AfterMiddleware(app)
    with pytest.raises(RuntimeError):
        await call(wrapped)
    may_end.set()
    await until(lambda: not wrapped.pipeline.queues)


@pytest.mark.parametrize(
    ("status", "success"), [(200, True), (302, True), (400, False), (404, False), (500, False)]
)
async def test_r41_on_success_means_a_status_below_400(status: int, success: bool) -> None:
    ran: list[str] = []

    def handler() -> None:
        after.options(on="success")(ran.append, "success")
        after.options(on="error")(ran.append, "error")

    await call(AfterMiddleware(answering(handler, status)))

    assert ran == ["success" if success else "error"]


async def test_r41_a_streaming_handler_may_still_ask_for_success() -> None:
    ran: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        after.options(on="success")(ran.append, "success")
        after.options(on="error")(ran.append, "error")
        await send({"type": "http.response.body", "body": b""})

    await call(AfterMiddleware(app))

    assert ran == ["error"]


async def test_r42_always_is_the_default_and_can_be_said() -> None:
    ran: list[str] = []

    def handler() -> None:
        after.options(on="always")(ran.append, "always")

    await call(AfterMiddleware(answering(handler, 500)))

    assert ran == ["always"]


async def test_r42_a_predicate_decides_by_the_response() -> None:
    ran: list[str] = []

    def handler() -> None:
        after.options(on=lambda response: response.status == 418)(ran.append, "teapot")
        after.options(on=lambda response: False)(ran.append, "never")

    await call(AfterMiddleware(answering(handler, 418)))

    assert ran == ["teapot"]


async def test_r42_a_predicate_that_raises_is_the_callbacks_failure() -> None:
    seen: list[Any] = []

    def handler() -> None:
        after.options(on=lambda response: 1 / 0)(print)
        after(seen.append, "sibling")

    runs: list[Any] = []
    await call(AfterMiddleware(answering(handler), reporters=[runs.append]))

    assert seen == ["sibling"]
    assert [run.outcome for run in runs] == ["failed", "succeeded"]
    assert isinstance(runs[0].error, ZeroDivisionError)


async def test_r43_a_callback_may_know_the_whole_outcome() -> None:
    seen = Seen()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(seen)
        await respond(send, 201, b"hello", headers=[(b"x-id", b"7"), (b"set-cookie", b"a=b")])

    await call(AfterMiddleware(app))

    (response,) = seen
    assert response.status == 201
    assert response.headers == ((b"x-id", b"7"), (b"set-cookie", b"a=b"))
    assert response.header("X-Id") == "7"
    assert response.header("missing") is None
    assert response.bytes_sent == 5
    assert response.error is None
    assert response.completed
    assert not response.disconnected
    assert 0 <= response.duration < 5
    assert repr(response) == "<ResponseInfo 201 completed, 5 bytes>"


async def test_r44_a_client_that_leaves_mid_stream_costs_nothing() -> None:
    """The server swallows what is sent, and the framework stops streaming."""
    seen = Seen()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(seen)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await receive()
        assert (await receive())["type"] == "http.disconnect"

    async with lifespan(wrapped := AfterMiddleware(app)):
        await call(wrapped)
        await drain()

    assert len(seen) == 1
    assert seen[0].disconnected
    assert not seen[0].completed


async def test_r45_a_client_that_leaves_after_the_response_cancels_nothing() -> None:
    """On all servers a disconnect is only ever told through `receive`, which nobody asks then."""
    may_end = asyncio.Event()
    ended: list[str] = []

    async def work() -> None:
        await may_end.wait()
        ended.append("work")

    async with lifespan(app := AfterMiddleware(answering(lambda: after(work) and None))):
        await call(app)
        may_end.set()
        await drain()

    assert ended == ["work"]


@pytest.mark.parametrize("chained", [False, True])
async def test_r46_an_os_error_from_send_is_a_disconnect_and_goes_on(chained: bool) -> None:
    seen = Seen()
    error = OSError("connection lost")

    class ClientGoneError(Exception):
        """As Starlette's ClientDisconnect, raised from within the handling of the OSError."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(seen)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
        except OSError:
            if chained:
                raise ClientGoneError from None
            raise

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise error

    wrapped = AfterMiddleware(app)
    async with lifespan(wrapped):
        with pytest.raises(ClientGoneError if chained else OSError):
            await wrapped(http_scope(), Wire({}).receive, send)
        await drain()

    assert seen[0].disconnected
    assert not seen[0].completed


async def test_r47_a_disconnect_does_not_start_the_drain_while_the_handler_works() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(log.append, "first")
        await receive()
        assert (await receive())["type"] == "http.disconnect"
        for _ in range(5):
            await asyncio.sleep(0)
        log.append(f"handler still reads {scope['path']}")
        after(log.append, "second")
        await respond(send)

    await call(AfterMiddleware(app), "/x", log=log)

    assert log[0] == "handler still reads /x"
    assert log[-2:] == ["first", "second"]


@pytest.mark.parametrize(
    "chunks", [[b"all"], [b""], [b"data: 1\n\n", b"data: 2\n\n", b""]], ids=["get", "204", "sse"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_r48_every_kind_of_response_runs_callbacks_once_at_its_end(
    chunks: list[bytes], method: str
) -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(log.append, "callback")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number, chunk in enumerate(chunks, 1):
            more = number < len(chunks)
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    await call(AfterMiddleware(app), scope=http_scope(method=method), log=log)

    assert log == ["http.response.start", *["http.response.body"] * len(chunks), "callback"]


def trailers() -> list[Message]:
    return [
        {"type": "http.response.start", "status": 200, "headers": [], "trailers": True},
        {"type": "http.response.body", "body": b"x"},
        {"type": "http.response.trailers", "headers": [], "more_trailers": True},
        {"type": "http.response.trailers", "headers": [(b"a", b"b")]},
    ]


def pathsend() -> list[Message]:
    return [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.pathsend", "path": "/etc/hostname"},
    ]


def zero_copy() -> list[Message]:
    return [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.zerocopysend", "file": 1, "more_body": True},
        {"type": "http.response.zerocopysend", "file": 1},
    ]


def hints_first() -> list[Message]:
    return [
        {"type": "http.response.early_hint", "links": []},
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body"},
    ]


@pytest.mark.parametrize("kind", [trailers, pathsend, zero_copy, hints_first])
async def test_r49_r50_the_end_is_the_last_message_of_that_kind_of_response(kind: Any) -> None:
    """Seen through `before_end`, which has to know the end while it is being sent."""
    log: list[str] = []
    messages = kind()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(log.append, "callback")
        for message in messages:
            await send(message)

    await call(AfterMiddleware(app, host="before_end"), log=log)
    assert log == [*[m["type"] for m in messages[:-1]], "callback", messages[-1]["type"]]

    seen = Seen()

    async def plain(scope: Scope, receive: Receive, send: Send) -> None:
        after(seen)
        for message in messages:
            await send(message)

    await call(AfterMiddleware(plain))
    assert seen[0].completed
    assert seen[0].status == 200


WEBSOCKETS: list[tuple[list[Message], int]] = [
    ([{"type": "websocket.accept"}, {"type": "websocket.close", "code": 1000}], 101),
    ([{"type": "websocket.accept"}, {"type": "websocket.send", "text": "x"}], 101),
    ([{"type": "websocket.close", "code": 1008}], 403),
    (
        [
            {"type": "websocket.http.response.start", "status": 401, "headers": []},
            {"type": "websocket.http.response.body", "body": b"no"},
        ],
        401,
    ),
]


@pytest.mark.parametrize(
    ("messages", "status"), WEBSOCKETS, ids=["closed", "client left", "refused", "denied"]
)
async def test_r51_a_websocket_runs_callbacks_once_at_its_close(
    messages: list[Message], status: int
) -> None:
    log: list[str] = []
    seen = Seen()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(log.append, "callback")
        after(seen)
        for message in messages:
            await send(message)

    await call(AfterMiddleware(app), scope={"type": "websocket", "path": "/"}, log=log)

    assert log == [*(m["type"] for m in messages), "callback"]
    assert [response.status for response in seen] == [status]
    assert seen[0].completed
    assert seen[0].success == (status == 101)


async def test_r52_other_scopes_pass_through() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    scope = {"type": "telepathy"}
    await AfterMiddleware(app)(scope, Wire({}).receive, Wire({}).send)

    assert scopes == [{"type": "telepathy"}]
    assert scopes[0] is scope


async def test_r52_in_the_lifespan_there_is_no_request_so_it_raises() -> None:
    from afterwork.errors import NoRequestError

    refused: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for answer in ("startup", "shutdown"):
            await receive()
            try:
                after(print)
            except NoRequestError:
                refused.append(answer)
            await send({"type": f"lifespan.{answer}.complete"})

    async with lifespan(AfterMiddleware(app)):
        pass

    assert refused == ["startup", "shutdown"]


@pytest.mark.parametrize("slow", ["start", "body"])
async def test_r53_r54_a_callback_starts_only_when_a_slow_send_has_returned(slow: str) -> None:
    log: list[str] = []
    sending, may_send = asyncio.Event(), asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"].endswith(slow):
            sending.set()
            await may_send.wait()
        log.append(message["type"])

    app = AfterMiddleware(answering(lambda: after(log.append, "callback") and None))
    request = asyncio.create_task(_call(app, send))
    await sending.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert "callback" not in log
    may_send.set()
    await request

    assert log == ["http.response.start", "http.response.body", "callback"]


async def test_r55_the_client_can_see_the_response_before_a_callback_starts() -> None:
    client_has_it = asyncio.Event()
    order: list[str] = []

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            order.append("client has the response")
            client_has_it.set()

    def callback() -> None:
        order.append("callback")
        assert client_has_it.is_set()

    await AfterMiddleware(answering(lambda: after(callback) and None))(
        http_scope(), Wire({}).receive, send
    )

    assert order == ["client has the response", "callback"]


async def test_early_starts_at_the_final_message_and_not_at_the_end_of_the_app() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after.options(early=True)(log.append, "early")
        after(log.append, "later")
        await respond(send)
        await until_in(log, "early")
        after.options(early=True)(log.append, "early, at once")
        await until_in(log, "early, at once")
        log.append("app returns")

    await call(AfterMiddleware(app))

    assert log == ["early", "early, at once", "app returns", "later"]


async def test_early_asked_for_after_the_final_message_starts_at_once() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send)
        after.options(early=True)(log.append, "early")
        await until_in(log, "early")
        log.append("app returns")

    await call(AfterMiddleware(app))

    assert log == ["early", "app returns"]


async def test_early_as_a_setting_is_for_all_callbacks() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(log.append, "early")
        await respond(send)
        await until_in(log, "early")
        log.append("app returns")

    await call(AfterMiddleware(app, early=True))

    assert log == ["early", "app returns"]


async def test_before_end_keeps_the_last_message_until_the_work_is_done() -> None:
    log: list[str] = []
    seen = Seen()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(log.append, "work")
        after(seen)
        await respond(send)
        after(log.append, "queued after the end")

    await call(AfterMiddleware(app, host="before_end"), log=log)

    expected = ["http.response.start", "work", "http.response.body", "queued after the end"]
    assert log == expected
    assert not seen[0].completed
    assert seen[0].status == 200


async def test_before_end_is_earlier_than_early() -> None:
    log: list[str] = []

    def handler() -> None:
        after.options(early=True)(log.append, "work")

    await call(AfterMiddleware(answering(handler), host="before_end"), log=log)

    assert log == ["http.response.start", "work", "http.response.body"]


async def test_r63_headers_given_as_an_iterator_are_read_once() -> None:
    seen = Seen()
    served: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        after(seen)
        await respond(send, headers=iter([(b"a", b"b")]))

    async def send(message: Message) -> None:
        served.extend(message.get("headers", ()))

    await AfterMiddleware(app)(http_scope(), Wire({}).receive, send)

    assert served == [(b"a", b"b")]
    assert seen[0].headers == ((b"a", b"b"),)

    async def late(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": iter([(b"a", b"b")])})
        after(seen)
        await send({"type": "http.response.body"})

    async def lazy(message: Message) -> None:
        sent.append(message)

    sent: list[Message] = []
    await AfterMiddleware(late)(http_scope(), Wire({}).receive, lazy)

    assert list(sent[0]["headers"]) == [(b"a", b"b")]  # the client does not lose them
    assert seen[1].headers == ()


async def test_inline_waits_inside_the_asgi_call() -> None:
    log: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        log.append("work")

    app = AfterMiddleware(answering(lambda: after(work) and None), host=FakeHost("inline"))
    async with lifespan(app):
        await call(app, log=log)
        log.append("call is over")

    assert log == ["http.response.start", "http.response.body", "work", "call is over"]


async def until_in(log: list[str], entry: str) -> None:
    async with asyncio.timeout(5):
        while entry not in log:
            await asyncio.sleep(0.001)


async def _call(app: Any, send: Any) -> None:
    await app(http_scope(), Wire({}).receive, send)
