"""Falcon (falcon.asgi): wrapped. Its own middleware are components, not ASGI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import falcon
import falcon.asgi
import pytest
from falcon.asgi import Request, Response, WebSocket
from falcon.testing import ASGIConductor

from afterwork import AfterMiddleware, after
from afterwork.errors import NoRequestError
from afterwork.testing import drain
from tests.frameworks.contract import (
    Crash,
    FrameworkContract,
    Script,
    SyncHandlersInThreads,
    Visit,
    WebSockets,
)
from tests.frameworks.site import serve


def visit(who: str, request: Request) -> Visit:
    return Visit(who, request.get_header, request.cookies.get)


def say_done(who: str, response: Response) -> None:
    response.text = "done"
    response.set_header("x-answer", who)
    response.set_cookie("seen", who)


class Resource:
    """One route, with the script at hand."""

    def __init__(self, script: Script) -> None:
        self.script = script


class Async(Resource):
    async def on_get(self, request: Request, response: Response, who: str) -> None:
        await self.script.play(visit(who, request))
        say_done(who, response)


class Sync(Resource):
    async def on_get(self, request: Request, response: Response, who: str) -> None:
        # Falcon has no sync responders; its documentation sends blocking work to a thread.
        await asyncio.to_thread(self.script.run, visit(who, request))
        say_done(who, response)


class Gone(Resource):
    async def on_get(self, request: Request, response: Response, who: str) -> None:
        await self.script.play(visit(who, request))
        raise falcon.HTTPNotFound


class Moved(Resource):
    async def on_get(self, request: Request, response: Response, who: str) -> None:
        await self.script.play(visit(who, request))
        raise falcon.HTTPFound("/async/elsewhere")


class Crashing(Resource):
    async def on_get(self, request: Request, response: Response, who: str) -> None:
        await self.script.play(visit(who, request))
        raise Crash


class Stream(Resource):
    async def on_get(self, request: Request, response: Response, who: str) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"one"
            await self.script.play(visit(who, request))
            yield b"two"
            yield b"three"

        response.stream = body()


class Socket(Resource):
    async def on_websocket(self, request: Request, socket: WebSocket, who: str) -> None:
        await socket.accept()
        await self.script.play(visit(who, request))
        await socket.send_text("hello")
        await socket.close()


class Component(Resource):
    """Falcon's own middleware."""

    async def process_startup(self, scope: Any, event: Any) -> None:
        self.script.life.append("startup")

    async def process_shutdown(self, scope: Any, event: Any) -> None:
        self.script.life.append("shutdown")

    async def process_request(self, request: Request, response: Response) -> None:
        self.script.enter()


class TestFalcon(SyncHandlersInThreads, WebSockets, FrameworkContract):
    def build(self, script: Script) -> Any:
        app = falcon.asgi.App(middleware=[Component(script)])
        for name, resource in {
            "async": Async,
            "sync": Sync,
            "gone": Gone,
            "moved": Moved,
            "crash": Crashing,
            "stream": Stream,
            "socket": Socket,
        }.items():
            app.add_route(f"/{name}/{{who}}", resource(script))
        return app


def app_with(resource: object, **more: Any) -> Any:
    app = falcon.asgi.App(**more)
    app.add_route("/", resource)
    return app


async def test_r12_process_response_may_call_after() -> None:
    class Audit:
        async def process_response(self, *_: object) -> None:
            after(site.log.append, "callback")

    class Home:
        async def on_get(self, request: Request, response: Response) -> None:
            response.text = "done"

    async with serve(AfterMiddleware(app_with(Home(), middleware=[Audit()]))) as site:
        await site.get("/")

    assert site.log[-2:] == ["end", "callback"]


async def test_r11_an_error_handler_may_call_after() -> None:
    class Home:
        async def on_get(self, request: Request, response: Response) -> None:
            raise Crash

    async def sorry(
        request: Request, response: Response, error: Exception, params: dict[str, Any]
    ) -> None:
        after(site.log.append, "callback")
        response.status = falcon.HTTP_409

    app = app_with(Home())
    app.add_error_handler(Crash, sorry)
    async with serve(AfterMiddleware(app)) as site:
        response = await site.get("/")

    assert response.status_code == 409
    assert site.log[-2:] == ["end", "callback"]


async def test_r48_server_sent_events_are_all_out_before_callbacks_start() -> None:
    class Home:
        async def on_get(self, request: Request, response: Response) -> None:
            after(site.log.append, "callback of the handler")
            response.sse = self.events()

        async def events(self) -> AsyncIterator[falcon.asgi.SSEvent]:
            for number in range(2):
                after(site.log.append, f"callback {number}")
                yield falcon.asgi.SSEvent(text=str(number))

    async with serve(AfterMiddleware(app_with(Home()), sequential=True)) as site:
        response = await site.get("/")

    assert response.text == "data: 0\n\ndata: 1\n\n"
    assert site.log[-4:] == ["end", "callback of the handler", "callback 0", "callback 1"]


async def test_tasks_of_resp_schedule_may_make_the_first_call() -> None:
    """DESIGN rule 5: Falcon starts them at its last message and lets go of them."""

    class Home:
        async def on_get(self, request: Request, response: Response) -> None:
            response.text = "done"
            response.schedule(self.background)

        async def background(self) -> None:
            after(site.log.append, "callback")
            over.set()

    over = asyncio.Event()
    async with serve(AfterMiddleware(app_with(Home()))) as site:
        await site.get("/")
        await over.wait()
        await drain()

    assert site.log[-2:] == ["end", "callback"]


async def test_falcons_own_hop_to_a_thread_loses_the_request() -> None:
    """`falcon.sync_to_async` starts threads without the caller's context. The call says so, in the
    line that made it; `asyncio.to_thread` brings the context along."""
    refused: list[type] = []

    def blocking() -> None:
        with pytest.raises(NoRequestError) as caught:
            after(refused.append, int)
        refused.append(caught.type)

    class Home:
        async def on_get(self, request: Request, response: Response) -> None:
            await falcon.sync_to_async(blocking)

    async with serve(AfterMiddleware(app_with(Home()))) as site:
        response = await site.get("/")

    assert response.status_code == 200
    assert refused == [NoRequestError]


async def test_the_test_client_of_falcon_takes_the_wrapped_app() -> None:
    """ASGIConductor runs the lifespan, so callbacks run beside the test: `await drain()`."""
    ran: list[str] = []

    class Home:
        async def on_get(self, request: Request, response: Response) -> None:
            after(ran.append, "callback")

    wrapped: Any = AfterMiddleware(app_with(Home()))
    async with ASGIConductor(wrapped) as conductor:
        await conductor.simulate_get("/")
        await drain()
        assert ran == ["callback"]
