"""Litestar: wrapped. Its own middleware sits behind the routing and sees no lifespan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from litestar import Litestar, Request, Response, WebSocket, get, websocket
from litestar.background_tasks import BackgroundTask, BackgroundTasks
from litestar.di import NamedDependency, Provide
from litestar.exceptions import NotFoundException
from litestar.response import Redirect, Stream
from litestar.testing import AsyncTestClient, TestClient

from afterwork import AfterMiddleware, after
from afterwork.testing import drain, wait_for_drain
from tests.frameworks.contract import (
    Crash,
    FrameworkContract,
    Script,
    SyncHandlersInThreads,
    Visit,
    WebSockets,
    response_of_run,
)
from tests.frameworks.site import serve

if TYPE_CHECKING:
    from litestar.connection import ASGIConnection

    from afterwork._asgi import ASGIApp

AnyRequest = Request[Any, Any, Any]
AnyWebSocket = WebSocket[Any, Any, Any]


def visit(connection: ASGIConnection[Any, Any, Any, Any]) -> Visit:
    return Visit(connection.path_params["who"], connection.headers.get, connection.cookies.get)


def done(request: AnyRequest) -> Response[str]:
    who = request.path_params["who"]
    response = Response("done", media_type="text/plain", headers={"x-answer": who})
    response.set_cookie("seen", who)
    return response


def wrapped(app: Any, **settings: Any) -> Any:
    """`AfterMiddleware(app)`. Litestar's ASGI types are its own and do not fit the usual ones."""
    return AfterMiddleware(app, **settings)


def build(script: Script, **more: Any) -> Litestar:
    @get("/async/{who:str}")
    async def handle(request: AnyRequest) -> Response[str]:
        await script.play(visit(request))
        return done(request)

    @get("/sync/{who:str}", sync_to_thread=True)
    def handle_sync(request: AnyRequest) -> Response[str]:
        script.run(visit(request))
        return done(request)

    @get("/gone/{who:str}")
    async def gone(request: AnyRequest) -> None:
        await script.play(visit(request))
        raise NotFoundException

    @get("/moved/{who:str}")
    async def moved(request: AnyRequest) -> Redirect:
        await script.play(visit(request))
        return Redirect("/async/elsewhere")

    @get("/crash/{who:str}")
    async def crash(request: AnyRequest) -> None:
        await script.play(visit(request))
        raise Crash

    @get("/stream/{who:str}")
    async def stream(request: AnyRequest) -> Stream:
        async def body() -> AsyncIterator[str]:
            yield "one"
            await script.play(visit(request))
            yield "two"
            yield "three"

        return Stream(body())

    @websocket("/socket/{who:str}")
    async def socket(socket: AnyWebSocket) -> None:
        await socket.accept()
        await script.play(visit(socket))
        await socket.send_text("hello")
        await socket.close()

    async def enter(request: AnyRequest) -> None:
        script.enter()

    return Litestar(
        [handle, handle_sync, gone, moved, crash, stream, socket],
        logging_config=None,  # or it sets up the root logger of the process
        before_request=enter,
        on_startup=[lambda: script.life.append("startup")],
        on_shutdown=[lambda: script.life.append("shutdown")],
        **more,
    )


class TestLitestar(SyncHandlersInThreads, WebSockets, FrameworkContract):
    def build(self, script: Script) -> Litestar:
        return build(script)

    def install(self, app: Litestar) -> ASGIApp:
        app_with_after: ASGIApp = wrapped(app)
        return app_with_after


async def test_litestars_own_middleware_list_works_but_sees_no_lifespan() -> None:
    """Callbacks run, but for want of a shutdown to hold back the ASGI call waits for them, on every
    server."""

    @get("/")
    async def handle() -> str:
        after(site.log.append, "callback")
        return "done"

    middleware: Any = AfterMiddleware
    app: Any = Litestar([handle], logging_config=None, middleware=[middleware])
    async with serve(app, lifespan=True) as site:
        await site.client.get("/")
        assert site.log[-2:] == ["end", "callback"]


async def test_r11_a_dependency_may_call_after() -> None:
    """R11: also one with a `yield`, which Litestar closes before it sends the response."""

    async def session() -> AsyncIterator[str]:
        after(site.log.append, "callback")
        yield "session"
        site.log.append("closed")

    @get("/")
    async def handle(session: NamedDependency[str]) -> str:
        return session

    app = Litestar([handle], logging_config=None, dependencies={"session": Provide(session)})
    async with serve(wrapped(app)) as site:
        response = await site.get("/")

    assert response.text == "session"
    assert "closed" in site.log
    assert site.log[-2:] == ["end", "callback"]


@pytest.mark.parametrize("group", [True, False], ids=["group", "one"])
async def test_background_tasks_may_make_the_first_call(group: bool) -> None:
    """DESIGN rule 5: Litestar runs them inside the ASGI call, after the response."""

    async def background() -> None:
        site.log.append("background")
        after(site.log.append, "callback")

    @get("/")
    async def handle() -> Response[str]:
        one = BackgroundTask(background)
        tasks = BackgroundTasks([one], run_in_task_group=True) if group else one
        return Response("done", background=tasks)

    async with serve(wrapped(Litestar([handle], logging_config=None))) as site:
        await site.get("/")

    assert site.log[-3:] == ["end", "background", "callback"]


async def test_r12_hooks_after_the_request_may_call_after() -> None:
    """`after_request` and `after_response`, which is Litestar's own and runs inside the call."""

    async def sending(response: Response[str]) -> Response[str]:
        after(site.log.append, "queued in after_request")
        return response

    async def sent(request: AnyRequest) -> None:
        site.log.append("after_response")
        after(site.log.append, "queued in after_response")

    @get("/")
    async def handle() -> str:
        return "done"

    app = Litestar([handle], logging_config=None, after_request=sending, after_response=sent)
    async with serve(wrapped(app, sequential=True)) as site:
        await site.get("/")

    assert site.log[-4:] == [
        "end",
        "after_response",
        "queued in after_request",
        "queued in after_response",
    ]


async def test_r11_an_exception_handler_may_call_after() -> None:
    seen: list[int] = []

    def page(request: AnyRequest, error: Exception) -> Response[str]:
        after(lambda: seen.append(response_of_run().status))
        return Response("sorry", status_code=503)

    @get("/")
    async def handle() -> str:
        raise Crash

    app = Litestar([handle], logging_config=None, exception_handlers={Crash: page})
    async with serve(wrapped(app)) as site:
        response = await site.get("/")

    assert response.status_code == 503
    assert seen == [503]


def test_the_test_client_of_litestar_takes_the_wrapped_app() -> None:
    """It runs the lifespan, so callbacks run beside the test: `wait_for_drain()`."""
    ran: list[str] = []

    @get("/")
    async def handle() -> str:
        after(ran.append, "callback")
        return "done"

    with TestClient(wrapped(Litestar([handle], logging_config=None))) as client:
        assert client.get("/").text == "done"
        wait_for_drain()
        assert ran == ["callback"]


async def test_the_async_test_client_of_litestar_takes_the_wrapped_app() -> None:
    ran: list[str] = []

    @get("/")
    async def handle() -> str:
        after(ran.append, "callback")
        return "done"

    async with AsyncTestClient(wrapped(Litestar([handle], logging_config=None))) as client:
        assert (await client.get("/")).text == "done"
        await drain()
        assert ran == ["callback"]
