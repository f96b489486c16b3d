"""FastAPI: wrapped, and through its own `add_middleware`."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import pytest
from fastapi import (
    APIRouter,
    BackgroundTasks,
    Depends,
    FastAPI,
    HTTPException,
    Request,
    Response,
    WebSocket,
)
from fastapi.responses import PlainTextResponse, RedirectResponse, StreamingResponse

from afterwork import AfterMiddleware, after
from afterwork.testing import FakeHost, capture
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
    from starlette.requests import HTTPConnection

    from afterwork._asgi import ASGIApp, Receive, Scope, Send


MOMENT = 0.05
"""Seconds in which a callback would start that may."""


def visit(who: str, connection: HTTPConnection) -> Visit:
    return Visit(who, connection.headers.get, connection.cookies.get)


def done(who: str) -> Response:
    response = PlainTextResponse("done", headers={"x-answer": who})
    response.set_cookie("seen", who)
    return response


# Annotations of handlers are looked up in the module, so handlers find the script in the app.
router = APIRouter()


def script_of(connection: HTTPConnection) -> Script:
    script = connection.app.state.script
    assert isinstance(script, Script)
    return script


@router.get("/async/{who}")
async def handle(who: str, request: Request) -> Response:
    await script_of(request).play(visit(who, request))
    return done(who)


@router.get("/sync/{who}")
def handle_sync(who: str, request: Request) -> Response:
    script_of(request).run(visit(who, request))
    return done(who)


@router.get("/gone/{who}")
async def gone(who: str, request: Request) -> None:
    await script_of(request).play(visit(who, request))
    raise HTTPException(404)


@router.get("/moved/{who}")
async def moved(who: str, request: Request) -> Response:
    await script_of(request).play(visit(who, request))
    return RedirectResponse("/async/elsewhere")


@router.get("/crash/{who}")
async def crash(who: str, request: Request) -> None:
    await script_of(request).play(visit(who, request))
    raise Crash


@router.get("/stream/{who}")
async def stream(who: str, request: Request) -> Response:
    async def body() -> AsyncIterator[str]:
        yield "one"
        await script_of(request).play(visit(who, request))
        yield "two"
        yield "three"

    return StreamingResponse(body())


@router.websocket("/socket/{who}")
async def socket(who: str, websocket: WebSocket) -> None:
    await websocket.accept()
    await script_of(websocket).play(visit(who, websocket))
    await websocket.send_text("hello")
    await websocket.close()


class Enter:
    def __init__(self, app: ASGIApp, script: Script) -> None:
        self.app = app
        self.script = script

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.script.enter()
        await self.app(scope, receive, send)


class TestFastAPI(SyncHandlersInThreads, WebSockets, FrameworkContract):
    crash_escapes = True

    def build(self, script: Script) -> FastAPI:
        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            script.life.append("startup")
            yield
            script.life.append("shutdown")

        app = FastAPI(lifespan=lifespan)
        app.state.script = script
        app.include_router(router)
        app.add_middleware(Enter, script=script)
        return app


class TestFastAPIAddMiddleware(TestFastAPI):
    """`app.add_middleware(AfterMiddleware)`: the same, and the lifespan is seen."""

    def install(self, app: FastAPI) -> ASGIApp:
        app.add_middleware(AfterMiddleware)
        return app


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize("path", ["/", "/missing", "/crash"])
async def test_callbacks_start_after_yield_dependencies_are_closed(sync: bool, path: str) -> None:
    """No database session stays checked out for the time of a callback, also after an error."""
    started = threading.Event()

    def session_sync() -> Iterator[str]:
        try:
            yield "session"
        finally:
            # The loop is free meanwhile: a callback that may start by now does.
            started.wait(MOMENT)
            site.log.append("closed")

    async def session() -> AsyncIterator[str]:
        try:
            yield "session"
        finally:
            await take_turns()
            site.log.append("closed")

    async def callback() -> None:
        started.set()
        site.log.append("callback")

    dependency = Depends(session_sync if sync else session)
    app = FastAPI(dependencies=[dependency])

    @app.get("/")
    async def handle() -> str:
        after(callback)
        return "done"

    @app.get("/missing")
    async def missing() -> None:
        after(callback)
        raise HTTPException(404)

    @app.get("/crash")
    async def crash() -> None:
        after(callback)
        raise Crash

    async with serve(AfterMiddleware(app)) as site:
        await site.get(path)

    assert {"closed", "end"} < set(site.log)
    assert site.log[-1] == "callback"


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_r11_a_dependency_may_call_after(sync: bool) -> None:
    """R11: before its `yield`, and behind it, where the response is on its way already."""

    def audit_sync() -> Iterator[None]:
        after(site.log.append, "before the yield")
        yield
        after(site.log.append, "behind the yield")

    async def audit() -> AsyncIterator[None]:
        after(site.log.append, "before the yield")
        yield
        after(site.log.append, "behind the yield")

    app = FastAPI()

    @app.get("/", dependencies=[Depends(audit_sync if sync else audit)])
    async def handle() -> str:
        return "done"

    async with serve(AfterMiddleware(app, sequential=True)) as site:
        await site.get("/")

    assert site.log[-3:] == ["end", "before the yield", "behind the yield"]


async def test_r11_an_exception_handler_may_call_after() -> None:
    class OutOfStock(Exception):
        pass

    app = FastAPI()

    @app.exception_handler(OutOfStock)
    async def sorry(request: Request, error: Exception) -> Response:
        after(site.log.append, f"callback {request.url.path}")
        return PlainTextResponse("sorry", status_code=409)

    @app.get("/")
    async def handle() -> None:
        raise OutOfStock

    async with serve(AfterMiddleware(app)) as site:
        response = await site.get("/")

    assert response.status_code == 409
    assert site.log[-2:] == ["end", "callback /"]


async def test_a_request_that_fails_validation_is_an_error() -> None:
    """R41: FastAPI answers 422 by itself; a dependency's callbacks run all the same."""
    ran: list[str] = []

    async def audit() -> None:
        for condition in ("success", "error"):
            after.options(on=condition)(ran.append, condition)

    app = FastAPI(dependencies=[Depends(audit)])

    @app.get("/")
    async def handle(page: int) -> str:
        raise AssertionError("not reached")

    async with serve(AfterMiddleware(app)) as site:
        response = await site.get("/?page=one")

    assert response.status_code == 422
    assert ran == ["error"]


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_background_tasks_may_make_the_first_call(sync: bool) -> None:
    """DESIGN rule 5: FastAPI's own BackgroundTasks run before, inside the ASGI call."""

    def background_sync() -> None:
        site.log.append("background")
        after(site.log.append, "callback")

    async def background() -> None:
        background_sync()

    app = FastAPI()

    @app.get("/")
    async def handle(tasks: BackgroundTasks) -> str:
        tasks.add_task(background_sync if sync else background)
        return "done"

    async with serve(AfterMiddleware(app)) as site:
        await site.get("/")

    assert site.log[-3:] == ["end", "background", "callback"]


async def test_http_middleware_of_the_decorator_may_call_after() -> None:
    """R12, R53: `@app.middleware("http")` is a BaseHTTPMiddleware; before and after `call_next`."""
    app = FastAPI()

    @app.middleware("http")
    async def audit(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        after(site.log.append, "before")
        response = await call_next(request)
        after(site.log.append, "behind")
        return response

    @app.get("/")
    async def handle() -> Response:
        return StreamingResponse(iter(["one", "two"]))

    async with serve(AfterMiddleware(app, sequential=True)) as site:
        response = await site.get("/")

    assert response.text == "onetwo"
    assert site.log[-3:] == ["end", "before", "behind"]


async def test_r13_a_mounted_app_with_a_middleware_of_its_own() -> None:
    """R13: `app.mount()`; each callback runs once, on the outer one's host."""
    outer, inner = FakeHost(), FakeHost()
    ran: list[str] = []
    mounted = FastAPI()
    mounted.add_middleware(AfterMiddleware, host=inner)

    @mounted.get("/")
    async def handle() -> str:
        after(ran.append, "callback")
        return "done"

    app = FastAPI()
    app.mount("/shop", mounted)
    async with serve(AfterMiddleware(app, host=outer)) as site:
        await site.get("/shop/")
        await outer.settle()

    assert (len(outer.handed), len(inner.handed)) == (1, 0)
    assert ran == ["callback"]


async def test_headers_that_a_handler_sets_on_the_response_parameter_are_seen() -> None:
    """R63: FastAPI merges them into the answer after the handler has returned."""
    seen: list[str | None] = []
    app = FastAPI()

    @app.get("/")
    async def handle(response: Response) -> str:
        after(lambda: seen.append(response_of_run().header("x-order")))
        response.headers["x-order"] = "17"
        return "done"

    async with serve(AfterMiddleware(app)) as site:
        await site.get("/")

    assert seen == ["17"]


def test_a_test_may_collect_callbacks_instead_of_running_them() -> None:
    """R77, with TestClient and a sync endpoint: the app under test runs in other threads."""
    ran: list[str] = []
    app = FastAPI()

    @app.get("/{who}")
    def handle(who: str) -> str:
        after(ran.append, who)
        return "done"

    with capture() as calls:
        assert TestClient(AfterMiddleware(app)).get("/ada").status_code == 200

    assert [(call.name, call.args) for call in calls] == [("list.append", ("ada",))]
    assert ran == []


def user() -> str:
    raise AssertionError("overridden")


def test_dependency_overrides_go_on_working_on_the_app_inside() -> None:
    """Keep the FastAPI object under its own name: what is wrapped is no FastAPI any more."""
    app = FastAPI()
    ran: list[str] = []

    @app.get("/")
    async def handle(name: Annotated[str, Depends(user)]) -> str:
        after(ran.append, name)
        return name

    app.dependency_overrides[user] = lambda: "ada"

    assert TestClient(AfterMiddleware(app)).get("/").json() == "ada"
    assert ran == ["ada"]
