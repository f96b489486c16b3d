"""The apps of memory.py: each answers at once and leaves a callback running."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from afterwork import AfterMiddleware, after

tasks: set[asyncio.Task[None]] = set()


async def callback() -> None:
    await asyncio.sleep(600)


async def bare_task(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    task = asyncio.create_task(callback())
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def with_after(request: Request) -> PlainTextResponse:
    after(callback)
    return PlainTextResponse("ok")


async def with_task(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok", background=BackgroundTask(callback))


afterwork_ = AfterMiddleware(Starlette(routes=[Route("/", with_after)]), limit=None)
starlette_task = Starlette(routes=[Route("/", with_task)])
fastapi_task = FastAPI()


@fastapi_task.get("/")
async def fast(background: BackgroundTasks) -> PlainTextResponse:
    background.add_task(callback)
    return PlainTextResponse("ok")
