"""What many tests need: an in-process server that writes down what it sees."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterwork._asgi import ASGIApp, Message, Receive, Scope, Send


PATIENCE = 5.0
"""Seconds that a test waits for a condition before it fails."""


class Wire:
    """One request as the server sees it: `messages` are what the app sent, in order."""

    def __init__(self, scope: Scope, incoming: Iterable[Message] = (), log: Any = None) -> None:
        self.scope = scope
        self.incoming = [*incoming]
        self.messages: list[Message] = []
        self.log: list[Any] = [] if log is None else log

    @property
    def status(self) -> int:
        status: int = self.messages[0]["status"]
        return status

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)

    async def receive(self) -> Message:
        if self.incoming:
            return self.incoming.pop(0)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.messages.append(message)
        self.log.append(message["type"])


def http_scope(path: str = "/", method: str = "GET", **more: Any) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": [], **more}


async def call(
    app: ASGIApp, path: str = "/", *, log: Any = None, scope: Scope | None = None
) -> Wire:
    """One request, as a server runs it: in a task and a context of its own."""
    request = {"type": "http.request", "body": b"", "more_body": False}
    wire = Wire(http_scope(path) if scope is None else scope, [request], log)
    async with asyncio.timeout(PATIENCE):
        await asyncio.create_task(_call(app, wire))
    return wire


async def _call(app: ASGIApp, wire: Wire) -> None:
    await app(wire.scope, wire.receive, wire.send)


async def respond(send: Send, status: int = 200, body: bytes = b"ok", **start: Any) -> None:
    """A whole response in two messages."""
    await send({"type": "http.response.start", "status": status, "headers": [], **start})
    await send({"type": "http.response.body", "body": body})


def answering(handler: Any, status: int = 200) -> ASGIApp:
    """An app that calls `handler()`, then responds. It has a lifespan that does nothing."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        result = handler()
        if hasattr(result, "__await__"):
            await result
        await respond(send, status)

    return app


class Life:
    """A running lifespan: `shutdown()` ends it; `log` has what the app was told and answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.log: list[str] = []
        self.scope: Scope = {"type": "lifespan", "state": {}}
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def startup(self) -> Message:
        self.task = asyncio.create_task(_run(self.app, self.scope, self._receive, self._send))
        return await self._tell("lifespan.startup")

    async def shutdown(self) -> Message:
        answer = await self._tell("lifespan.shutdown")
        assert self.task is not None
        await self.task
        return answer

    def tell_shutdown(self) -> None:
        self._told.put_nowait({"type": "lifespan.shutdown"})

    async def _tell(self, kind: str) -> Message:
        self._told.put_nowait({"type": kind})
        async with asyncio.timeout(PATIENCE):
            return await self._answers.get()

    async def _receive(self) -> Message:
        return await self._told.get()

    async def _send(self, message: Message) -> None:
        self.log.append(message["type"])
        self._answers.put_nowait(message)


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[Life]:
    """The app between its start-up and its shutdown, as on a server that runs a lifespan."""
    life = Life(app)
    await life.startup()
    yield life
    if life.task is not None and not life.task.done():
        await life.shutdown()


def events(caplog: Any, level: int = logging.DEBUG) -> list[str]:
    """The names of the events that were logged, in order."""
    return [r.event for r in caplog.records if r.name == "afterwork" and r.levelno >= level]


def fields(caplog: Any, event: str) -> dict[str, Any]:
    """The fields of the only event of that name."""
    (found,) = [r.afterwork for r in caplog.records if r.name == "afterwork" and r.event == event]
    assert isinstance(found, dict)
    return found


async def until(condition: Any) -> None:
    """Waits until `condition()` is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)
