"""BlackSheep: wrapped."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from blacksheep import (
    Application,
    Content,
    Cookie,
    Request,
    Response,
    StreamedContent,
    WebSocket,
    not_found,
    redirect,
)
from blacksheep.exceptions import NotFound
from blacksheep.server.routing import Router
from blacksheep.testing import TestClient

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


def visit(request: Request, who: str) -> Visit:
    def header(name: str) -> str | None:
        value = request.get_first_header(name.encode())
        return None if value is None else value.decode()

    return Visit(who, header, request.get_cookie)


def done(who: str) -> Response:
    response = Response(200, [(b"x-answer", who.encode())], Content(b"text/plain", b"done"))
    response.set_cookie(Cookie("seen", who))
    return response


def application() -> Application:
    """An app with a router of its own: by default all of a process share one."""
    return Application(router=Router())


def build(script: Script) -> Application:
    app = application()

    @app.router.get("/async/{who}")
    async def handle(request: Request, who: str) -> Response:
        await script.play(visit(request, who))
        return done(who)

    @app.router.get("/sync/{who}")
    def handle_sync(request: Request, who: str) -> Response:
        script.run(visit(request, who))
        return done(who)

    @app.router.get("/gone/{who}")
    async def gone(request: Request, who: str) -> Response:
        await script.play(visit(request, who))
        raise NotFound

    @app.router.get("/moved/{who}")
    async def moved(request: Request, who: str) -> Response:
        await script.play(visit(request, who))
        return redirect("/async/elsewhere")

    @app.router.get("/crash/{who}")
    async def crash(request: Request, who: str) -> Response:
        await script.play(visit(request, who))
        raise Crash

    @app.router.get("/stream/{who}")
    async def stream(request: Request, who: str) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            await script.play(visit(request, who))
            yield b"two"
            yield b"three"

        return Response(200, content=StreamedContent(b"text/plain", body))

    @app.router.ws("/socket/{who}")
    async def socket(websocket: WebSocket, who: str) -> None:
        await websocket.accept()
        await script.play(visit(websocket, who))
        await websocket.send_text("hello")
        await websocket.close()

    async def enter(
        request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        script.enter()
        return await handler(request)

    app.middlewares.append(enter)

    @app.on_start
    async def startup(_: Application) -> None:
        script.life.append("startup")

    @app.on_stop
    async def shutdown(_: Application) -> None:
        script.life.append("shutdown")

    return app


class TestBlackSheep(SyncHandlers, WebSockets, FrameworkContract):
    """Sync handlers run on the event loop here."""

    def build(self, script: Script) -> Application:
        return build(script)


async def test_r11_an_exception_handler_may_call_after() -> None:
    app = application()

    async def sorry(self: Any, request: Request, error: Exception) -> Response:
        after(site.log.append, "callback")
        return Response(409)

    app.exceptions_handlers[Crash] = sorry

    @app.router.get("/")
    async def handle() -> Response:
        raise Crash

    async with serve(AfterMiddleware(app)) as site:
        response = await site.get("/")

    assert response.status_code == 409
    assert site.log[-2:] == ["end", "callback"]


async def test_r12_a_middleware_may_call_after_once_it_has_the_response() -> None:
    app = application()

    async def audit(
        request: Request, handler: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await handler(request)
        after(site.log.append, f"callback {response.status}")
        return response

    app.middlewares.append(audit)

    @app.router.get("/")
    async def handle() -> Response:
        return not_found()

    async with serve(AfterMiddleware(app)) as site:
        await site.get("/")

    assert site.log[-2:] == ["end", "callback 404"]


async def test_the_test_client_of_blacksheep_goes_past_the_asgi_app() -> None:
    """It calls `app.handle`, so there is no request for afterwork: the call says so."""
    app = application()
    refused: list[type] = []

    @app.router.get("/")
    async def handle() -> str:
        with pytest.raises(NoRequestError) as caught:
            after(refused.append, int)
        refused.append(caught.type)
        return "done"

    await app.start()  # type: ignore[no-untyped-call]  # not typed by BlackSheep
    response = await TestClient(app).get("/")

    assert response.status == 200
    assert refused == [NoRequestError]
