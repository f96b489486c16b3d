"""Django's ASGI handler, which has no lifespan: afterwork answers for it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import django
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db.utils import ConnectionHandler
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.test import AsyncClient
from django.urls import path

from afterwork import AfterMiddleware, after
from afterwork.errors import NoRequestError
from tests.frameworks.contract import (
    Crash,
    FrameworkContract,
    Script,
    SyncHandlersInThreads,
    Visit,
    nothing,
    response_of_run,
)
from tests.frameworks.site import serve

if TYPE_CHECKING:
    from pathlib import Path

    from afterwork import Run
    from afterwork._asgi import ASGIApp, Receive, Scope, Send

# Django has one set of settings per process, so every app of this file shares it and finds what it
# is to do in its scope.
settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="not secret",
    MIDDLEWARE=[f"{__name__}.enter"],
    LOGGING_CONFIG=None,
)
django.setup()


def script_of(request: Any) -> Script:
    script = request.scope["script"]
    assert isinstance(script, Script)
    return script


def visit(request: Any, who: str) -> Visit:
    return Visit(who, request.headers.get, request.COOKIES.get)


def done(who: str) -> HttpResponse:
    response = HttpResponse(b"done", headers={"x-answer": who})
    response.set_cookie("seen", who)
    return response


def enter(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Django's own middleware, as a function."""

    async def middleware(request: HttpRequest) -> Any:
        script_of(request).enter()
        return await get_response(request)

    return middleware


enter.async_capable = True  # type: ignore[attr-defined]
enter.sync_capable = False  # type: ignore[attr-defined]


async def handle(request: HttpRequest, who: str) -> HttpResponse:
    await script_of(request).play(visit(request, who))
    return done(who)


def handle_sync(request: HttpRequest, who: str) -> HttpResponse:
    script_of(request).run(visit(request, who))
    return done(who)


async def gone(request: HttpRequest, who: str) -> HttpResponse:
    await script_of(request).play(visit(request, who))
    raise Http404


async def moved(request: HttpRequest, who: str) -> HttpResponse:
    await script_of(request).play(visit(request, who))
    return HttpResponseRedirect("/async/elsewhere")


async def crash(request: HttpRequest, who: str) -> HttpResponse:
    await script_of(request).play(visit(request, who))
    raise Crash


async def stream(request: HttpRequest, who: str) -> StreamingHttpResponse:
    async def body() -> AsyncIterator[str]:
        yield "one"
        await script_of(request).play(visit(request, who))
        yield "two"
        yield "three"

    return StreamingHttpResponse(body())


urlpatterns = [
    path("async/<who>", handle),
    path("sync/<who>", handle_sync),
    path("gone/<who>", gone),
    path("moved/<who>", moved),
    path("crash/<who>", crash),
    path("stream/<who>", stream),
]


def build(script: Script) -> ASGIApp:
    application = get_asgi_application()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await application({**scope, "script": script}, receive, send)

    return app


class TestDjango(SyncHandlersInThreads, FrameworkContract):
    has_lifespan = False

    def build(self, script: Script) -> ASGIApp:
        return build(script)


async def test_a_sync_view_may_make_the_whole_stack_sync() -> None:
    """R10: `sync_to_async` around a view, twice over, keeps the request."""

    def act(_: Visit) -> None:
        after(site.log.append, "callback")

    async def enter_in_a_thread(visit: Visit) -> None:
        await sync_to_async(act)(visit)

    async with serve(AfterMiddleware(build(Script(enter_in_a_thread, nothing)))) as site:
        await site.get("/async/ada")

    assert site.log[-2:] == ["end", "callback"]


@pytest.mark.parametrize("path", ["/async/ada", "/sync/ada"])
async def test_callbacks_may_use_sync_to_async(path: str) -> None:
    """Django's async ORM is `sync_to_async` inside; the thread of the request is gone by then."""
    threads: list[bool] = []

    def query(number: int) -> int:
        threads.append(threading.current_thread() is threading.main_thread())
        return number

    async def callback() -> None:
        found = [await sync_to_async(query)(number) for number in (1, 2)]
        site.log.append(f"callback {found}")

    script = Script(lambda _: after(callback), nothing)
    async with serve(AfterMiddleware(build(script))) as site:
        await site.get(path)

    assert site.log[-2:] == ["end", "callback [1, 2]"]
    assert threads == [False, False]


async def test_around_closes_database_connections_of_callbacks(tmp_path: Path) -> None:
    """Django closes a request's connections at its end; a sync callback runs later, in a thread of
    ours that lives on. `around` does for it what Django does for a request."""
    databases = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "db"}}
    connections = ConnectionHandler(databases)
    seen: list[str] = []

    @contextmanager
    def closing(run: Run) -> Iterator[None]:
        yield
        for connection in connections.all(initialized_only=True):
            connection.close_if_unusable_or_obsolete()
            seen.append("closed" if connection.connection is None else "open")

    def query() -> None:
        with connections["default"].cursor() as cursor:
            seen.append(str(cursor.execute("SELECT 'row'").fetchone()[0]))

    script = Script(lambda _: after(query), nothing)
    async with serve(AfterMiddleware(build(script), around=[closing])) as site:
        await site.get("/async/ada")

    assert seen == ["row", "closed"]


async def test_header_names_may_be_asked_for_in_any_case() -> None:
    """R63: Django sends them as `Content-Type`, and not in lower case as ASGI wants them."""
    seen: list[str | None] = []

    def look() -> None:
        for name in ("content-type", "Content-Type"):
            seen.append(response_of_run().header(name))

    async with serve(AfterMiddleware(build(Script(lambda _: after(look), nothing)))) as site:
        await site.get("/async/ada")

    assert seen == ["text/html; charset=utf-8"] * 2


async def test_the_test_client_of_django_goes_past_the_asgi_app() -> None:
    """It calls Django's handler itself, so there is no request for afterwork: the call says so."""
    errors: list[str] = []

    def act(_: Visit) -> None:
        with pytest.raises(NoRequestError):
            after(errors.append, "callback")
        errors.append("refused")

    response = await AsyncClient().request(
        method="GET",
        path="/async/ada",
        query_string="",
        headers=[(b"host", b"testserver")],
        script=Script(act, nothing),
    )

    assert response.status_code == 200
    assert errors == ["refused"]
