"""The trigger route within each framework: mounted where the framework can mount an ASGI app, and
beside it where it cannot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, cast

import django
import httpx
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from fastapi import FastAPI
from litestar import Litestar, asgi
from litestar import get as litestar_get
from quart import Quart
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from afterwork import Afterwork, Bearer, MemoryStore, after
from tests.support import lifespan

if TYPE_CHECKING:
    from afterwork._asgi import ASGIApp
    from afterwork._routes import Routes

SECRET = "a-secret-for-tests-only-0123456789"
SLOT = "?slot=2026-03-08T03:00:00Z"


def starlette_app(routes: Routes) -> ASGIApp:
    async def home(request: Request) -> PlainTextResponse:
        return PlainTextResponse("home")

    return Starlette(routes=[Route("/home", home), Mount("/cron", routes)])


def fastapi_app(routes: Routes) -> ASGIApp:
    app = FastAPI()

    @app.get("/home", response_class=PlainTextResponse)
    async def home() -> str:
        return "home"

    app.mount("/cron", routes)
    return app


def litestar_app(routes: Routes) -> ASGIApp:
    @litestar_get("/home", media_type="text/plain")
    async def home() -> str:
        return "home"

    cron = asgi("/cron", is_mount=True, copy_scope=True)(routes)
    return cast("ASGIApp", Litestar([home, cron], logging_config=None))


def quart_app(routes: Routes) -> ASGIApp:
    app = Quart("triggers")

    @app.get("/home")
    async def home() -> str:
        return "home"

    return routes.beside(cast("ASGIApp", app), "/cron")


def django_home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"home")


urlpatterns = [path("home", django_home)]


def django_app(routes: Routes) -> ASGIApp:
    return routes.beside(cast("ASGIApp", get_asgi_application()), "/cron")


def django_settings() -> AbstractContextManager[object]:
    """Django has one set of settings per process, and another file of tests may have made it."""
    if not settings.configured:
        settings.configure(SECRET_KEY="not secret", ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None)
        django.setup()
    settings_of_this_file: AbstractContextManager[object] = override_settings(
        ROOT_URLCONF=__name__, MIDDLEWARE=[]
    )
    return settings_of_this_file


@pytest.fixture(params=[starlette_app, fastapi_app, litestar_app, quart_app, django_app])
def build(request: pytest.FixtureRequest) -> Iterator[Callable[[Routes], ASGIApp]]:
    with django_settings() if request.param is django_app else nullcontext():
        yield request.param


def new_work(ran: list[str]) -> Afterwork:
    work = Afterwork(store=MemoryStore(), scheduler=False)

    @work.cron("0 3 * * *")
    async def nightly() -> None:
        ran.append("nightly")
        after(ran.append, "after nightly")

    @work.job
    def greet(name: str) -> None:
        ran.append(name)

    return work


def client(app: ASGIApp, secret: str = SECRET) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://app.example",
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
    )


async def test_the_route_serves_beside_the_apps_own_pages(
    build: Callable[[Routes], ASGIApp],
) -> None:
    """T1, T3, T10, T22: with the app's lifespan, with and without a slash at the end; a job's
    `after()` belongs to the job; addresses hold the prefix."""
    ran: list[str] = []
    work = new_work(ran)
    app = work.wrap(build(work.routes(verify=Bearer(SECRET))))
    async with lifespan(app), client(app) as http:
        own = await http.get("/home")
        first = await http.post(f"/cron/nightly{SLOT}")
        second = await http.get(f"/cron/nightly/{SLOT}")
        greeted = await http.post("/cron/greet", json={"name": "Ada"})
        listed = await http.get("/cron/jobs")

    assert (own.status_code, own.text) == (200, "home")
    assert (first.status_code, first.json()["status"]) == (200, "ok")
    assert (second.status_code, second.json()["status"]) == (200, "duplicate")
    assert greeted.status_code == 200
    assert ran == ["nightly", "after nightly", "Ada"]
    urls = [each["url"] for each in listed.json()["jobs"]]
    assert urls == ["http://app.example/cron/nightly", "http://app.example/cron/greet"]


async def test_what_was_accepted_ends_before_the_apps_own_shutdown(
    build: Callable[[Routes], ASGIApp],
) -> None:
    """T8, L4: answered 202, and recorded when the lifespan is over."""
    work = new_work([])
    go = asyncio.Event()
    work.job(go.wait, name="slow")  # type: ignore[call-overload]
    app = work.wrap(build(work.routes(verify=Bearer(SECRET), mode="accept")))
    async with lifespan(app), client(app) as http:
        answer = await http.post("/cron/slow")
        assert answer.status_code == 202
        asyncio.get_running_loop().call_later(0.05, go.set)

    record = work.store.run(answer.json()["run_id"])
    assert record is not None
    assert record.state == "succeeded"


async def test_without_the_secret_there_is_a_verdict_and_nothing_else(
    build: Callable[[Routes], ASGIApp],
) -> None:
    """T2, T19, L5: health is for everybody, jobs for nobody, and HEAD runs none."""
    ran: list[str] = []
    work = new_work(ran)
    app = work.wrap(build(work.routes(verify=Bearer(SECRET))))
    async with lifespan(app), client(app, secret="") as http:
        health = await http.get("/cron/health")
        known, unknown = await http.post("/cron/nightly"), await http.post("/cron/no-such-job")
        head = await http.head("/cron/nightly", headers={"Authorization": f"Bearer {SECRET}"})

    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    assert (known.status_code, unknown.status_code, head.status_code) == (401, 401, 405)
    assert known.content == unknown.content
    assert ran == []


async def test_one_path_for_all_schedules_ends_with_a_slash(
    build: Callable[[Routes], ASGIApp],
) -> None:
    """T12, T10: `/cron/` is what to write in `vercel.json`. `/cron` is the route, too, where the
    framework gives it to us; Starlette and FastAPI redirect it, which no cron follows."""
    work = new_work([])
    app = work.wrap(build(work.routes(verify=Bearer(SECRET))))
    headers = {"x-vercel-cron-schedule": "0 3 * * *"}
    async with lifespan(app), client(app) as http:
        slash = await http.get(f"/cron/{SLOT}", headers=headers)
        bare = await http.get(f"/cron{SLOT}", headers=headers)

    assert (slash.status_code, slash.json()["job"]) == (200, "nightly")
    assert bare.status_code == (307 if build in (starlette_app, fastapi_app) else 200)


@pytest.mark.parametrize("path", ["/cron/nightly", "/api/cron/nightly", "/api/cron/nightly/"])
async def test_a_prefix_of_the_server_is_not_part_of_a_jobs_name(
    build: Callable[[Routes], ASGIApp], path: str
) -> None:
    """T22: with `root_path`, servers leave the prefix at the path's beginning (uvicorn) or do not
    (hypercorn, `FastAPI(root_path=...)`)."""
    work = new_work([])
    app = work.wrap(build(work.routes(verify=Bearer(SECRET))))
    transport = httpx.ASGITransport(app, root_path="/api")
    headers = {"Authorization": f"Bearer {SECRET}"}
    async with (
        lifespan(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://app.example", headers=headers
        ) as http,
    ):
        answer = await http.post(f"{path}{SLOT}")
        health = await http.get(f"{path.rstrip('/').removesuffix('nightly')}health")

    assert (answer.status_code, answer.json().get("job")) == (200, "nightly")
    assert (health.status_code, health.json()["status"]) == (200, "ok")
