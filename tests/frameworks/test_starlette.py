"""Starlette: wrapped, and through its own `add_middleware`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import (
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute

from afterwork import AfterMiddleware, after
from afterwork.errors import ResponseSentError
from afterwork.testing import FakeHost, drain, strict, wait_for_drain
from tests.frameworks.contract import (
    Crash,
    FrameworkContract,
    Script,
    SyncHandlersInThreads,
    Visit,
    WebSockets,
    response_of_run,
    take_turns,
)
from tests.frameworks.site import serve
from tests.frameworks.testclient import TestClient

if TYPE_CHECKING:
    import httpx
    from starlette.middleware.base import RequestResponseEndpoint
    from starlette.requests import HTTPConnection, Request
    from starlette.websockets import WebSocket

    from afterwork._asgi import ASGIApp, Receive, Scope, Send


def visit(connection: HTTPConnection) -> Visit:
    return Visit(connection.path_params["who"], connection.headers.get, connection.cookies.get)


def done(request: Request) -> Response:
    who = request.path_params["who"]
    response = PlainTextResponse("done", headers={"x-answer": who})
    response.set_cookie("seen", who)
    return response


def build(script: Script, *inside: Middleware) -> Starlette:
    async def handle(request: Request) -> Response:
        await script.play(visit(request))
        return done(request)

    def handle_sync(request: Request) -> Response:
        script.run(visit(request))
        return done(request)

    async def gone(request: Request) -> Response:
        await script.play(visit(request))
        raise HTTPException(404)

    async def moved(request: Request) -> Response:
        await script.play(visit(request))
        return RedirectResponse("/async/elsewhere")

    async def crash(request: Request) -> Response:
        await script.play(visit(request))
        raise Crash

    async def stream(request: Request) -> Response:
        async def body() -> AsyncIterator[str]:
            yield "one"
            await script.play(visit(request))
            yield "two"
            yield "three"

        return StreamingResponse(body())

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await script.play(visit(websocket))
        await websocket.send_text("hello")
        await websocket.close()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        script.life.append("startup")
        yield
        script.life.append("shutdown")

    class Enter:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                script.enter()
            await self.app(scope, receive, send)

    return Starlette(
        routes=[
            Route("/async/{who}", handle),
            Route("/sync/{who}", handle_sync),
            Route("/gone/{who}", gone),
            Route("/moved/{who}", moved),
            Route("/crash/{who}", crash),
            Route("/stream/{who}", stream),
            WebSocketRoute("/socket/{who}", socket),
        ],
        middleware=[Middleware(Enter), *inside],
        lifespan=lifespan,
    )


class TestStarlette(SyncHandlersInThreads, WebSockets, FrameworkContract):
    crash_escapes = True

    def build(self, script: Script) -> Starlette:
        return build(script)


class TestStarletteAddMiddleware(TestStarlette):
    """`app.add_middleware(AfterMiddleware)`: the same, and the lifespan is seen."""

    def install(self, app: Starlette) -> ASGIApp:
        app.add_middleware(AfterMiddleware)
        return app


class TestStarletteBehindMiddleware(TestStarlette):
    """R53: with BaseHTTPMiddleware and GZipMiddleware between afterwork and the handlers."""

    def build(self, script: Script) -> Starlette:
        async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

        return build(
            script,
            Middleware(GZipMiddleware, minimum_size=1),
            Middleware(BaseHTTPMiddleware, dispatch=dispatch),
        )


async def test_r12_base_http_middleware_may_call_after_once_it_has_the_response() -> None:
    """R12, R53: `call_next` returns before the body is sent; the callback waits for the body."""

    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        after(site.log.append, "callback")
        return response

    async def stream(request: Request) -> Response:
        return StreamingResponse(iter(["one", "two"]))

    app = Starlette(
        routes=[Route("/", stream)],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)],
    )
    async with serve(AfterMiddleware(app)) as site:
        response = await site.get("/")

    assert response.text == "onetwo"
    assert site.log[-2:] == ["end", "callback"]


async def test_r13_of_two_nested_middlewares_the_outer_one_does_everything() -> None:
    """R13: a mounted app that wraps itself; each callback runs once, on the outer one's host."""
    outer, inner = FakeHost(), FakeHost()
    ran: list[str] = []

    async def handle(request: Request) -> Response:
        after(ran.append, "callback")
        return PlainTextResponse("done")

    mounted = AfterMiddleware(Starlette(routes=[Route("/", handle)]), host=inner)
    app = AfterMiddleware(Starlette(routes=[Mount("/shop", mounted)]), host=outer)
    async with serve(app) as site:
        response = await site.get("/shop/")
        await outer.settle()

    assert response.text == "done"
    assert (len(outer.handed), len(inner.handed)) == (1, 0)
    assert ran == ["callback"]


async def test_a_mounted_app_may_be_the_only_one_with_the_middleware() -> None:
    """Wrapping one mounted app gives `after()` to that app."""

    async def handle(request: Request) -> Response:
        after(site.log.append, "callback")
        return PlainTextResponse("done")

    mounted = AfterMiddleware(Starlette(routes=[Route("/", handle)]))
    async with serve(Starlette(routes=[Mount("/shop", mounted)])) as site:
        await site.get("/shop/")

    assert site.log[-2:] == ["end", "callback"]


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_background_task_may_make_the_first_call(sync: bool) -> None:
    """DESIGN rule 5: after the response, in a task that Starlette runs inside the ASGI call."""

    async def background() -> None:
        background_sync()

    def background_sync() -> None:
        site.log.append("background")
        after(site.log.append, "callback")

    async def handle(request: Request) -> Response:
        task = BackgroundTask(background_sync if sync else background)
        return PlainTextResponse("done", background=task)

    async with serve(AfterMiddleware(Starlette(routes=[Route("/", handle)]))) as site:
        await site.get("/")

    assert site.log[-3:] == ["end", "background", "callback"]


@pytest.mark.parametrize(
    ("early", "order"),
    [
        (False, ["end", "background is over", "callback"]),
        (True, ["end", "callback", "background is over"]),
    ],
)
@pytest.mark.parametrize("where", ["setting", "option"])
async def test_callbacks_wait_for_background_tasks_unless_early(
    early: bool, order: list[str], where: str
) -> None:
    """DESIGN rule 2: they start when the app's call has returned, or else at the final message."""

    async def callback() -> None:
        site.log.append("callback")

    async def background() -> None:
        await take_turns()
        site.log.append("background is over")

    async def handle(request: Request) -> Response:
        after.options(early=early and where == "option")(callback)
        return PlainTextResponse("done", background=BackgroundTask(background))

    app = Starlette(routes=[Route("/", handle)])
    async with serve(AfterMiddleware(app, early=early and where == "setting")) as site:
        await site.get("/")

    assert site.log[-3:] == order


async def test_r24_a_sync_generator_may_call_after_in_the_middle() -> None:
    """R24: Starlette iterates it in a thread, one hop per chunk."""

    def chunks() -> Iterator[str]:
        yield "one"
        after(site.log.append, "callback")
        yield "two"

    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks())

    async with serve(AfterMiddleware(Starlette(routes=[Route("/", stream)]))) as site:
        response = await site.get("/")

    assert response.text == "onetwo"
    assert site.log[-2:] == ["end", "callback"]


async def test_r48_server_sent_events_are_all_out_before_callbacks_start() -> None:
    """R48: queued in the handler and with each event; none runs before the last one was sent."""

    async def events() -> AsyncIterator[str]:
        for number in range(3):
            after(site.log.append, f"callback {number}")
            yield f"data: {number}\n\n"

    async def stream(request: Request) -> Response:
        after(site.log.append, "callback of the handler")
        return StreamingResponse(events(), media_type="text/event-stream")

    # Taking turns, so that the order of sync callbacks is that of the calls.
    app = AfterMiddleware(Starlette(routes=[Route("/", stream)]), sequential=True)
    async with serve(app) as site:
        response = await site.get("/")

    assert response.text == "data: 0\n\ndata: 1\n\ndata: 2\n\n"
    assert site.log == [
        "http.response.start",
        *["http.response.body"] * 3,
        "end",
        "callback of the handler",
        "callback 0",
        "callback 1",
        "callback 2",
    ]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("DELETE", 204)])
async def test_r48_responses_without_a_body_end_too(method: str, status: int) -> None:
    async def handle(request: Request) -> Response:
        after(site.log.append, "callback")
        return Response(status_code=status)

    app = Starlette(routes=[Route("/", handle, methods=["GET", "DELETE"])])
    async with serve(AfterMiddleware(app)) as site:
        response = await site.client.request(method, "/")

    assert response.status_code == status
    assert site.log[-2:] == ["end", "callback"]


async def test_r40_a_handler_for_every_exception_decides_what_the_client_sees() -> None:
    """R40: wrapped outermost, the run sees the status of the app's own error page."""
    statuses, response = await _crash_with_error_page(lambda app: AfterMiddleware(app))

    assert response.status_code == 503
    assert statuses == [503]


async def test_r40_through_add_middleware_the_error_page_is_not_seen() -> None:
    """Starlette puts its error page outside of what `add_middleware` adds: the run sees the
    exception and 500, whatever the page says."""

    def install(app: Starlette) -> ASGIApp:
        app.add_middleware(AfterMiddleware)
        return app

    statuses, response = await _crash_with_error_page(install)

    assert response.status_code == 503
    assert statuses == [500]


async def _crash_with_error_page(
    install: Callable[[Starlette], ASGIApp],
) -> tuple[list[int], httpx.Response]:
    statuses: list[int] = []

    async def handle(request: Request) -> Response:
        after.options(on="error")(lambda: statuses.append(response_of_run().status))
        raise Crash

    async def page(request: Request, error: Exception) -> Response:
        return PlainTextResponse("we are sorry", status_code=503)

    app = Starlette(routes=[Route("/", handle)], exception_handlers={Exception: page})
    async with serve(install(app)) as site:
        response = await site.get("/")
        await drain()
    return statuses, response


async def test_r11_an_exception_handler_may_call_after() -> None:
    async def handle(request: Request) -> Response:
        raise HTTPException(418)

    async def page(request: Request, error: Exception) -> Response:
        after(site.log.append, "callback")
        return PlainTextResponse("teapot", status_code=418)

    app = Starlette(routes=[Route("/", handle)], exception_handlers={418: page})
    async with serve(AfterMiddleware(app)) as site:
        response = await site.get("/")

    assert response.status_code == 418
    assert site.log[-2:] == ["end", "callback"]


async def test_r51_a_refused_websocket_runs_callbacks_too() -> None:
    """R51: closed before it was accepted, which servers answer with 403."""
    seen: list[int] = []

    async def socket(websocket: WebSocket) -> None:
        after(lambda: seen.append(response_of_run().status))
        await websocket.close()

    app = Starlette(routes=[WebSocketRoute("/", socket)])
    async with serve(AfterMiddleware(app)) as site:
        sent = await site.websocket("/")

    assert [message["type"] for message in sent] == ["websocket.close"]
    assert seen == [403]


async def test_r61_a_response_cannot_be_sent_from_a_callback() -> None:
    """R61: a callback that answers once more fails; the client's response is untouched."""

    class Late:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                after(PlainTextResponse("late"), scope, receive, send)
            await self.app(scope, receive, send)

    async def handle(request: Request) -> Response:
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/", handle)], middleware=[Middleware(Late)])
    async with serve(AfterMiddleware(app)) as site:
        with pytest.raises(ExceptionGroup) as caught:
            async with strict():
                await site.get("/")

    assert caught.group_contains(ResponseSentError)
    assert site.log == ["http.response.start", "end"]


def shop(log: list[str]) -> ASGIApp:
    """A small app for TestClient."""

    async def handle(request: Request) -> Response:
        after(log.append, "callback")
        log.append("handler")
        return PlainTextResponse("done")

    def handle_sync(request: Request) -> Response:
        after(log.append, "callback")
        log.append("handler")
        return PlainTextResponse("done")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        after(log.append, "callback")
        await websocket.send_text("hello")
        await websocket.close()

    async def crash(request: Request) -> Response:
        after(log.append, "callback")
        raise Crash

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        log.append("startup")
        yield
        log.append("shutdown")

    return AfterMiddleware(
        Starlette(
            routes=[
                Route("/async", handle),
                Route("/sync", handle_sync),
                Route("/crash", crash),
                WebSocketRoute("/socket", socket),
            ],
            lifespan=lifespan,
        )
    )


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_without_with_testclient_returns_once_callbacks_are_over(path: str) -> None:
    """No lifespan runs, so the ASGI call waits for them, and so does TestClient."""
    log: list[str] = []
    client = TestClient(shop(log))

    assert client.get(path).text == "done"

    assert log == ["handler", "callback"]


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_inside_with_testclient_callbacks_run_beside_the_test(path: str) -> None:
    """A lifespan runs, as on a server: a test waits with `wait_for_drain()`, or for the end of the
    block, which the callbacks hold back."""
    log: list[str] = []
    with TestClient(shop(log)) as client:
        assert client.get(path).text == "done"
        wait_for_drain()
        assert log == ["startup", "handler", "callback"]
        client.get(path)

    assert log == ["startup", "handler", "callback", "handler", "callback", "shutdown"]


@pytest.mark.parametrize("inside", [True, False], ids=["with", "without"])
def test_r40_testclient_raises_what_the_handler_raised_and_callbacks_run(inside: bool) -> None:
    """R40: TestClient's default is to raise; the callback is not lost by that."""
    log: list[str] = []
    client = TestClient(shop(log))
    if inside:
        with client, pytest.raises(Crash):
            client.get("/crash")
    else:
        with pytest.raises(Crash):
            client.get("/crash")

    assert "callback" in log


def test_r51_websocket_of_testclient() -> None:
    log: list[str] = []
    with TestClient(shop(log)) as client:
        with client.websocket_connect("/socket") as socket:
            assert socket.receive_text() == "hello"
        wait_for_drain()

    assert log == ["startup", "callback", "shutdown"]
