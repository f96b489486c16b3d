"""A Worker for tests: what its requests queue is said in their query."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import js
from afterwork_integrations.cloudflare import Cloudflare, scheduled
from workers import WorkerEntrypoint, asgi

from afterwork import Afterwork, after, current_run

if TYPE_CHECKING:
    from afterwork._asgi import ASGIApp, Receive, Scope, Send

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
work = Afterwork(store="memory:", timeout=60, on_abandon=lambda runs: js.journal("abandoned", ""))
short = Cloudflare(max_seconds=0.3)
narrow = Afterwork(limit=1)


def journal(name: str, value: object = "") -> None:
    js.journal(name, str(value))


async def sleep(name: str, seconds: float) -> None:
    journal("started", name)
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        journal("cut", name)
        raise
    after(journal, "nested", name)
    journal("done", name)


def block(name: str, seconds: float) -> None:
    """Holds the loop, as a sync callback that computes does."""
    journal("started", name)
    asyncio.get_running_loop()  # or it raises: this is not on the loop
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    journal("done", name)


def fail(name: str) -> None:
    raise RuntimeError(name)


async def tell() -> None:
    response = current_run().response
    assert response is not None
    journal("tenant", tenant.get())
    journal("status", response.status)
    journal("remaining", current_run().remaining())


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            journal(message["type"])
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    for name, value in parse_qsl(scope["query_string"].decode()):
        if name == "sleep":
            label, _, seconds = value.partition(",")
            after(sleep, label, float(seconds))
        elif name == "block":
            label, _, seconds = value.partition(",")
            after(block, label, float(seconds))
        elif name == "wait":
            await asyncio.sleep(float(value))
        elif name == "fail":
            after(fail, value)
        elif name == "tenant":
            tenant.set(value)
            after(tell)
        elif name == "job":
            after(failing if value == "failing" else nightly)
    start = {"type": "http.response.start", "status": 200}
    await send({**start, "headers": [(b"content-type", b"text/plain")]})
    if "stream" in scope["path"]:
        await send({"type": "http.response.body", "body": b"thank ", "more_body": True})
        await send({"type": "http.response.body", "body": b"you"})
    else:
        await send({"type": "http.response.body", "body": b"thank you"})


@work.cron("0 3 * * *")
async def nightly() -> None:
    journal("nightly", current_run().scheduled_for)
    await asyncio.sleep(0.2)
    after(journal, "nightly over")


@work.cron("30 4 * * 1")
def weekly() -> None:
    asyncio.get_running_loop()
    journal("weekly", current_run().scheduled_for)


@work.cron("0 5 * * *")
def failing() -> None:
    raise RuntimeError("paper-jam")


@work.cron("0 5 * * *")
async def beside() -> None:
    journal("beside")


wrapped = work.wrap(app)
one_at_a_time = narrow.wrap(app)


class Default(WorkerEntrypoint):
    async def fetch(self, request: Any) -> Any:
        where = request.url
        served: ASGIApp = wrapped
        if "/short" in where:
            served = short.around(wrapped)
        elif "/narrow" in where:
            served = one_at_a_time
        elif "/ctx" in where:
            served = Cloudflare(self.ctx).around(wrapped)
        return await asgi.fetch(served, request, self.env, self.ctx)

    async def scheduled(self, controller: Any, env: Any, ctx: Any) -> None:
        await scheduled(work, controller, ctx)
