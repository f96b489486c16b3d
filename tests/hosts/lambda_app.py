"""The app of the tests. What its callbacks do is written to the file in `JOURNAL`, a line
each, with the time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from afterwork import Afterwork, after, current_run

JOURNAL = Path(os.environ["JOURNAL"])
work = Afterwork(
    on_abandon=lambda runs: write("abandoned " + " ".join(run.name for run in runs)),
    store="memory:",
)


def write(line: str) -> None:
    with JOURNAL.open("a") as journal:
        journal.write(f"{time.time()} {line}\n")


async def slow(seconds: float, name: str) -> None:
    write(f"begin {name}")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        write(f"cancelled {name}")
        raise
    write(f"end {name}")


def blocking(seconds: float) -> None:
    write("begin thread")
    time.sleep(seconds)
    write("end thread")


def fail() -> None:
    write("fails")
    raise RuntimeError("this callback fails on purpose")


async def handle(request: Request) -> PlainTextResponse:
    kind, _, name = request.path_params["rest"].partition("/")
    background = None
    if kind == "slow":
        after(slow, 1.0, name)
    elif kind == "long":
        after(slow, 6.0, name)
    elif kind == "thread":
        after(blocking, 6.0)
    elif kind == "fail":
        after(fail)
        after(slow, 0.1, name)
    elif kind == "background":
        background = BackgroundTask(slow, 0.5, name)
    elif kind == "crash":
        after(slow, 0.1, name)
        raise RuntimeError("this handler fails on purpose")
    elif kind == "hang":
        await asyncio.sleep(60)
    elif kind == "quick":
        after(write, f"quick {name}")
    return PlainTextResponse("ok", background=background)


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    write("startup")
    yield
    write("shutdown")


@work.job
async def nightly(region: str = "eu") -> str:
    run = current_run()
    assert run is not None
    await slow(0.2, f"{region} {run.scheduled_for}")
    return region


app = work.wrap(Starlette(routes=[Route("/{rest:path}", handle)], lifespan=lifespan))
