"""Quart: `app.asgi_app = AfterMiddleware(app.asgi_app)`, its own way of wrapping."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, cast

import pytest
from quart import Quart, Response, abort, g, redirect, request, websocket
from quart.helpers import stream_with_context

from afterwork import AfterMiddleware, after
from afterwork.testing import drain
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
    from werkzeug.wrappers import Response as WerkzeugResponse

    from afterwork._asgi import ASGIApp


def visit(who: str) -> Visit:
    """Through the proxy, so that it is asked only when the callback asks."""
    return Visit(
        who, lambda name: request.headers.get(name), lambda name: request.cookies.get(name)
    )


def done(who: str) -> Response:
    response = Response("done", headers={"x-answer": who})
    response.set_cookie("seen", who)
    return response


def build(script: Script) -> Quart:
    app = Quart("contract")

    @app.get("/async/<who>")
    async def handle(who: str) -> Response:
        await script.play(visit(who))
        return done(who)

    @app.get("/sync/<who>")
    def handle_sync(who: str) -> Response:
        script.run(visit(who))
        return done(who)

    @app.get("/gone/<who>")
    async def gone(who: str) -> Response:
        await script.play(visit(who))
        abort(404)

    @app.get("/moved/<who>")
    async def moved(who: str) -> WerkzeugResponse:
        await script.play(visit(who))
        return redirect("/async/elsewhere")

    @app.get("/crash/<who>")
    async def crash(who: str) -> Response:
        await script.play(visit(who))
        raise Crash

    @app.get("/stream/<who>")
    async def stream(who: str) -> Response:
        @stream_with_context
        async def body() -> AsyncIterator[str]:
            yield "one"
            await script.play(visit(who))
            yield "two"
            yield "three"

        return Response(body())

    @app.websocket("/socket/<who>")
    async def socket(who: str) -> None:
        await websocket.accept()
        await script.play(Visit(who, lambda name: websocket.headers.get(name), lambda _: None))
        await websocket.send("hello")
        await websocket.close(1000)

    @app.before_request
    async def enter() -> None:
        script.enter()

    @app.before_serving
    async def startup() -> None:
        script.life.append("startup")

    @app.after_serving
    async def shutdown() -> None:
        script.life.append("shutdown")

    return app


def install(app: Quart) -> Quart:
    wrapped: Any = AfterMiddleware(cast("ASGIApp", app.asgi_app))
    app.asgi_app = wrapped  # type: ignore[method-assign]  # as Quart's documentation says
    return app


class TestQuart(SyncHandlersInThreads, WebSockets, FrameworkContract):
    def build(self, script: Script) -> Quart:
        return build(script)

    def install(self, app: Quart) -> ASGIApp:
        return cast("ASGIApp", install(app))


class TestQuartWrapped(TestQuart):
    """`AfterMiddleware(app)` is the same; only `quart run` wants a Quart."""

    def install(self, app: Quart) -> ASGIApp:
        return AfterMiddleware(cast("ASGIApp", app))


async def test_request_and_g_are_those_of_the_call_in_a_callback() -> None:
    """R60: Quart's proxies are ContextVars, so they point to the request that called `after()`."""
    app = Quart("proxies")
    seen: list[tuple[str, str]] = []

    @app.get("/<who>")
    async def handle(who: str) -> str:
        g.who = who
        after(lambda: seen.append((g.who, request.path)))
        return "done"

    async with serve(cast("ASGIApp", install(app))) as site:
        await site.get("/ada")
        await site.get("/bob")

    assert seen == [("ada", "/ada"), ("bob", "/bob")]


@pytest.mark.parametrize("hook", ["after_request", "teardown_request", "errorhandler"])
async def test_r11_hooks_may_call_after(hook: str) -> None:
    """R11: also those that Quart runs while it leaves the request."""
    app = Quart("hooks")

    async def queue(thing: Any) -> Any:
        after(site.log.append, "callback")
        return ("sorry", 409) if hook == "errorhandler" else thing

    if hook == "errorhandler":
        app.register_error_handler(Crash, queue)
    else:
        getattr(app, hook)(queue)

    @app.get("/")
    async def handle() -> str:
        if hook == "errorhandler":
            raise Crash
        return "done"

    async with serve(cast("ASGIApp", install(app))) as site:
        response = await site.get("/")

    assert response.status_code == (409 if hook == "errorhandler" else 200)
    assert site.log[-2:] == ["end", "callback"]


async def test_r40_what_quart_lets_through_reaches_the_server_and_the_run() -> None:
    """R40: with PROPAGATE_EXCEPTIONS Quart answers nothing; the server does, and is not held up."""
    app = Quart("propagates")
    app.config["PROPAGATE_EXCEPTIONS"] = True
    seen: list[tuple[int, bool]] = []

    @app.get("/")
    async def handle() -> str:
        after(lambda: seen.append((response_of_run().status, response_of_run().completed)))
        raise Crash

    async with serve(cast("ASGIApp", install(app))) as site:
        response = await site.get("/")
        await drain()

    assert response.status_code == 500
    assert [type(error) for error in site.raised] == [Crash]
    assert seen == [(500, False)]


async def test_background_tasks_may_call_after() -> None:
    """DESIGN rule 5: Quart starts them before the response; what they queue waits for its end, or
    runs at once if that is over."""
    app = Quart("background")

    @app.get("/")
    async def handle() -> str:
        app.add_background_task(background)
        return "done"

    async def background() -> None:
        after(site.log.append, "callback")

    async with serve(cast("ASGIApp", install(app)), lifespan=True) as site:
        await site.get("/")

    assert site.log[-2:] == ["end", "callback"]


async def test_the_test_client_of_quart_runs_callbacks() -> None:
    """It calls `app.asgi_app`, so that way of installing reaches it too."""
    app = Quart("client")
    ran: list[str] = []

    @app.get("/")
    async def handle() -> str:
        after(ran.append, "callback")
        return "done"

    response = await install(app).test_client().get("/")
    await drain()

    assert response.status_code == 200
    assert ran == ["callback"]
