"""Sanic, under an ASGI server: wrapped. Its own server has no ASGI app to wrap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from sanic import Request, Sanic, Websocket
from sanic.exceptions import NotFound
from sanic.response import HTTPResponse, redirect, text

from afterwork import AfterMiddleware, after
from afterwork.errors import NoRequestError
from tests.frameworks.contract import (
    Crash,
    FrameworkContract,
    Script,
    SyncHandlers,
    Visit,
    WebSockets,
)
from tests.frameworks.site import serve

if TYPE_CHECKING:
    from afterwork._asgi import ASGIApp

# Sanic imports its test kit while it starts, if that is installed, and that a deprecated module.
pytestmark = pytest.mark.filterwarnings("ignore:websockets.legacy is deprecated:DeprecationWarning")

AnyRequest = Request[Any, Any]
AnySanic = Sanic[Any, Any]


@pytest.fixture(autouse=True)
def _process_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sanic keeps its apps in a list of the process, and sets up the root logger at its start."""
    monkeypatch.setattr(Sanic, "_app_registry", {})
    monkeypatch.setattr("sanic.app.setup_logging", lambda *_: None)


def visit(request: AnyRequest, who: str) -> Visit:
    return Visit(who, request.headers.get, request.cookies.get)


def done(who: str) -> HTTPResponse:
    response = text("done", headers={"x-answer": who})
    response.add_cookie("seen", who)
    return response


def application() -> AnySanic:
    app: AnySanic = Sanic("contract", configure_logging=False)
    app.config.TOUCHUP = False  # it rewrites methods of its classes, and can do so only once
    return app


def build(script: Script) -> AnySanic:
    app = application()

    @app.get("/async/<who>")
    async def handle(request: AnyRequest, who: str) -> HTTPResponse:
        await script.play(visit(request, who))
        return done(who)

    @app.get("/sync/<who>")
    def handle_sync(request: AnyRequest, who: str) -> HTTPResponse:
        script.run(visit(request, who))
        return done(who)

    @app.get("/gone/<who>")
    async def gone(request: AnyRequest, who: str) -> HTTPResponse:
        await script.play(visit(request, who))
        raise NotFound

    @app.get("/moved/<who>")
    async def moved(request: AnyRequest, who: str) -> HTTPResponse:
        await script.play(visit(request, who))
        return redirect("/async/elsewhere")

    @app.get("/crash/<who>")
    async def crash(request: AnyRequest, who: str) -> HTTPResponse:
        await script.play(visit(request, who))
        raise Crash

    @app.get("/stream/<who>")
    async def stream(request: AnyRequest, who: str) -> None:
        response: Any = await request.respond()  # its types do not know `eof`
        await response.send("one")
        await script.play(visit(request, who))
        await response.send("two")
        await response.send("three")
        await response.eof()

    @app.websocket("/socket/<who>")  # type: ignore[untyped-decorator]  # not typed by Sanic
    async def socket(request: AnyRequest, websocket: Websocket, who: str) -> None:
        await script.play(visit(request, who))
        await websocket.send("hello")
        await websocket.close()

    @app.on_request
    async def enter(request: AnyRequest) -> None:
        script.enter()

    @app.before_server_start
    async def startup(_: AnySanic) -> None:
        script.life.append("startup")

    @app.after_server_stop
    async def shutdown(_: AnySanic) -> None:
        script.life.append("shutdown")

    return app


class TestSanic(SyncHandlers, WebSockets, FrameworkContract):
    """Sync handlers run on the event loop here."""

    lifespans = (True,)
    socket_ends_with = "websocket.send"  # under ASGI its `close()` does nothing: the server closes

    def build(self, script: Script) -> AnySanic:
        return build(script)


async def test_r12_response_middleware_may_call_after() -> None:
    app = application()

    @app.on_response  # type: ignore[untyped-decorator]  # not typed by Sanic
    async def audit(request: AnyRequest, response: HTTPResponse) -> None:
        after(site.log.append, f"callback {response.status}")

    @app.get("/")
    async def handle(request: AnyRequest) -> HTTPResponse:
        return text("done", status=201)

    async with serve(AfterMiddleware(cast("ASGIApp", app)), lifespan=True) as site:
        await site.get("/")

    assert site.log[-2:] == ["end", "callback 201"]


async def test_r11_an_exception_handler_may_call_after() -> None:
    app = application()

    @app.exception(Crash)
    async def sorry(request: AnyRequest, error: Exception) -> HTTPResponse:
        after(site.log.append, "callback")
        return text("sorry", status=409)

    @app.get("/")
    async def handle(request: AnyRequest) -> HTTPResponse:
        raise Crash

    async with serve(AfterMiddleware(cast("ASGIApp", app)), lifespan=True) as site:
        response = await site.get("/")

    assert response.status_code == 409
    assert site.log[-2:] == ["end", "callback"]


async def test_tasks_of_the_app_may_call_after() -> None:
    """DESIGN rule 5: Sanic starts them before the response; what they queue waits for its end, or
    runs at once if that is over."""
    app = application()

    @app.get("/")
    async def handle(request: AnyRequest) -> HTTPResponse:
        app.add_task(background())
        return text("done")

    async def background() -> None:
        after(site.log.append, "callback")

    async with serve(AfterMiddleware(cast("ASGIApp", app)), lifespan=True) as site:
        await site.get("/")

    assert site.log[-2:] == ["end", "callback"]


async def test_the_test_client_of_sanic_goes_past_the_wrapper(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It calls the Sanic object, so there is no request for afterwork: the call says so."""
    # The client replaces a method of the class, for good.
    monkeypatch.setattr(Sanic, "__call__", Sanic.__call__)
    monkeypatch.setattr(Sanic, "test_mode", Sanic.test_mode)
    app = application()
    refused: list[type] = []

    @app.get("/")
    async def handle(request: AnyRequest) -> HTTPResponse:
        with pytest.raises(NoRequestError) as caught:
            after(refused.append, int)
        refused.append(caught.type)
        return text("done")

    _, response = await app.asgi_client.get("/")

    assert response.status_code == 200
    assert refused == [NoRequestError]
