"""What does a request pay for afterwork: when it queues nothing, and when it queues callbacks?"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from contextvars import ContextVar, copy_context
from typing import Any

from afterwork import AfterMiddleware, after
from afterwork.testing import drain
from benchmarks.rounds import Measured, interleave, table

ROUNDS = 15
VARIABLE: ContextVar[Any] = ContextVar("variable")


def app(handler: Any = None, chunks: int = 1) -> Any:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise ValueError("no lifespan here")
        if handler is not None:
            handler()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(chunks - 1):
            await send({"type": "http.response.body", "body": b"ok", "more_body": True})
        await send({"type": "http.response.body", "body": b"ok"})

    return bare


class NoOp:
    """A middleware that does nothing: the floor for any."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


class SendClosure(NoOp):
    """The usual way to see a response: an async closure around `send`."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        status = None

        async def wrapped(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        await self.app(scope, receive, wrapped)


class SetOnly(NoOp):
    """One ContextVar set and nothing else: what no after() can do without."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        VARIABLE.set(scope)
        await self.app(scope, receive, send)


async def callback() -> None: ...


def sync_callback() -> None: ...


tracked: set[asyncio.Task[None]] = set()


def bare_tasks(count: int) -> Any:
    """Detached tasks as one writes them by hand: own context, kept alive, forgotten when done."""

    def handler() -> None:
        for _ in range(count):
            task = asyncio.get_running_loop().create_task(callback(), context=copy_context())
            tracked.add(task)
            task.add_done_callback(tracked.discard)

    return app(handler)


def ours(count: int, function: Any = callback) -> AfterMiddleware:
    def handler() -> None:
        for _ in range(count):
            after(function)

    return AfterMiddleware(app(handler))


def starlette(count: int, function: Any = callback, framework: str = "starlette") -> Any:
    """A route of the framework with that many of its own background tasks."""
    if framework == "fastapi":
        from fastapi import BackgroundTasks as FastTasks
        from fastapi import FastAPI

        fast = FastAPI()

        async def fast_route(tasks):  # type: ignore[no-untyped-def]
            for _ in range(count):
                tasks.add_task(function)
            return {}

        fast_route.__annotations__["tasks"] = FastTasks
        fast.get("/")(fast_route)
        return fast
    if framework == "litestar":
        from litestar import Litestar, get
        from litestar.background_tasks import BackgroundTask as LiteTask
        from litestar.background_tasks import BackgroundTasks as LiteTasks
        from litestar.response import Response

        async def lite_route():  # type: ignore[no-untyped-def]  # Litestar would look its types up
            tasks = LiteTasks([LiteTask(function) for _ in range(count)]) if count else None
            return Response({}, background=tasks)

        lite_route.__annotations__["return"] = Response[dict[str, int]]
        return Litestar([get("/")(lite_route)])
    from starlette.applications import Starlette
    from starlette.background import BackgroundTasks
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def route(request: Any) -> PlainTextResponse:
        background = None
        if count:
            background = BackgroundTasks()
            for _ in range(count):
                background.add_task(function)
        return PlainTextResponse("ok", background=background)

    return Starlette(routes=[Route("/", route)])


def with_aiojobs(count: int, scheduler: Any) -> Any:
    async def bare(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(count):
            await scheduler.spawn(callback())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return bare


class Alive(AsyncExitStack):
    """Runs the lifespan of apps, as a server does."""

    async def start(self, app: Any) -> Any:
        told: asyncio.Queue[Any] = asyncio.Queue()
        answered = asyncio.Event()

        async def send(message: Any) -> None:
            answered.set()

        task = asyncio.create_task(app({"type": "lifespan", "state": {}}, told.get, send))
        told.put_nowait({"type": "lifespan.startup"})
        await answered.wait()

        async def stop() -> None:
            told.put_nowait({"type": "lifespan.shutdown"})
            await task

        self.push_async_callback(stop)
        return app


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.2f}"


def added(measured: dict[str, Measured], name: str, base: str) -> float:
    return measured[name].median - measured[base].median


def report(
    title: str,
    measured: dict[str, Measured],
    bases: dict[str, str],
    peer: str,
    goal: str,
) -> None:
    """A row per variant: its time, what it adds to its base, and that as a ratio to the peer's."""
    unit = added(measured, peer, bases[peer])
    rows = [
        [
            name,
            microseconds(variant.median),
            f"±{variant.spread:.0%}",
            microseconds(added(measured, name, bases[name])) if name in bases else "",
            f"{added(measured, name, bases[name]) / unit:.2f}" if name in bases else "",
        ]
        for name, variant in measured.items()
    ]
    table(title, ["variant", "µs/request", "spread", "adds µs", f"÷ {peer}"], rows)
    print(f"\nGoal: {goal}")


async def without_callbacks(alive: Alive) -> None:
    for chunks in (1, 10):
        apps = {
            "bare app": app(chunks=chunks),
            "no-op middleware": NoOp(app(chunks=chunks)),
            "ContextVar.set only": SetOnly(app(chunks=chunks)),
            "async closure around send": SendClosure(app(chunks=chunks)),
            "afterwork, no after()": await alive.start(AfterMiddleware(app(chunks=chunks))),
        }
        measured = await interleave(apps, rounds=ROUNDS, count=8000 // chunks)
        bases = {name: "bare app" for name in apps if name != "bare app"}
        report(
            f"A request without after(), {chunks + 1} messages",
            measured,
            bases,
            "async closure around send",
            "at most 0.60",
        )


async def with_async_callbacks(alive: Alive) -> None:
    from aiojobs import Scheduler

    for count in (1, 5):
        scheduler = Scheduler(limit=None)
        apps = {
            "bare app": app(),
            "bare tracked task": bare_tasks(count),
            "afterwork": await alive.start(ours(count)),
            "aiojobs": with_aiojobs(count, scheduler),
            "Starlette": starlette(0),
            "Starlette BackgroundTask": starlette(count),
            "FastAPI": starlette(0, framework="fastapi"),
            "FastAPI BackgroundTasks": starlette(count, framework="fastapi"),
            "Litestar": starlette(0, framework="litestar"),
            "Litestar BackgroundTasks": starlette(count, framework="litestar"),
        }
        bases = {
            "bare tracked task": "bare app",
            "afterwork": "bare app",
            "aiojobs": "bare app",
            "Starlette BackgroundTask": "Starlette",
            "FastAPI BackgroundTasks": "FastAPI",
            "Litestar BackgroundTasks": "Litestar",
        }
        asgi_background = with_asgi_background(count)
        if asgi_background is not None:
            apps["asgi-background"] = await alive.start(asgi_background)
            bases["asgi-background"] = "bare app"
        slow = {name: 400 for name in apps if name not in ("bare app", "bare tracked task")}
        counts = {**dict.fromkeys(apps, 2000), **slow, "afterwork": 2000, "aiojobs": 1000}
        measured = await interleave(
            apps, rounds=ROUNDS, count=counts, turn=True, settle=lambda: asyncio.sleep(0.005)
        )
        await scheduler.close()
        goal = "at most 1.30" if count == 1 else "at most 1.20"
        report(f"{count} async callback(s)", measured, bases, "bare tracked task", goal)


def with_asgi_background(count: int) -> Any:
    from asgi_background import BackgroundTaskMiddleware, BackgroundTasks

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        tasks = BackgroundTasks(scope)
        for _ in range(count):
            await tasks.add_task(callback)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    return BackgroundTaskMiddleware(bare)


async def with_sync_callbacks(alive: Alive) -> None:
    async def settle() -> None:
        await drain()
        await asyncio.sleep(0.002)

    clocks = {"CPU time of the loop's thread": time.thread_time, "wall": time.perf_counter}
    for count in (1, 5):
        for what, clock in clocks.items():
            apps = {
                "bare app": app(),
                "afterwork": await alive.start(ours(count, sync_callback)),
                "Starlette": starlette(0),
                "Starlette BackgroundTask": starlette(count, sync_callback),
            }
            bases = {"afterwork": "bare app", "Starlette BackgroundTask": "Starlette"}
            counts = {"bare app": 2000, "afterwork": 90 // count, "Starlette": 1000}
            measured = await interleave(
                apps,
                rounds=ROUNDS,
                count={**counts, "Starlette BackgroundTask": 100},
                turn=True,
                settle=settle,
                clock=clock,
            )
            theirs = added(measured, "Starlette BackgroundTask", "Starlette")
            mine = added(measured, "afterwork", "bare app")
            goal = 50 if count == 1 else 100
            report(
                f"{count} sync callback(s), {what}",
                measured,
                bases,
                "afterwork",
                f"Starlette's at least {goal} times; it is {theirs / mine:.0f}",
            )


async def main() -> None:
    async with Alive() as alive:
        await without_callbacks(alive)
        await with_async_callbacks(alive)
        await with_sync_callbacks(alive)


if __name__ == "__main__":
    asyncio.run(main())
