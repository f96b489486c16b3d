"""An app under test, served in-process: what it sends is written down, in order.

The log is the proof of order. `"end"` is written once `send` has returned for the final message:
then the client has its whole response. Handlers and callbacks of a test write into the same log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from afterwork.testing import drain
from tests.support import PATIENCE, Life

if TYPE_CHECKING:
    from afterwork._asgi import ASGIApp, Message, Receive, Scope, Send

HTTP_ENDS = ("http.response.body", "http.response.pathsend")


class Site:
    """A client of the app and what was seen on the way.

    `log`
        One entry per message that was sent; the final one of a response is `"end"`.
    `raised`
        The exceptions that reached the server.
    """

    def __init__(self, app: ASGIApp, lifespan: bool) -> None:
        self.app = app
        self.lifespan = lifespan
        self.log: list[str] = []
        self.raised: list[Exception] = []
        transport = httpx.ASGITransport(self._serve, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://testserver")

    async def get(self, path: str, **more: Any) -> httpx.Response:
        """A response and, if a lifespan runs, the end of all callbacks. Without one the ASGI call
        itself has to be over only after them, so nothing is waited for."""
        async with asyncio.timeout(PATIENCE):
            response = await self.client.get(path, **more)
            if self.lifespan:
                await drain()
        return response

    async def websocket(self, path: str) -> list[Message]:
        """Connects, listens until the app has closed, and returns what it sent."""
        incoming: list[Message] = [{"type": "websocket.connect"}]
        sent: list[Message] = []
        closed = asyncio.Event()

        async def receive() -> Message:
            if incoming:
                return incoming.pop(0)
            await closed.wait()
            return {"type": "websocket.disconnect", "code": 1000}

        async def send(message: Message) -> None:
            sent.append(message)
            if message["type"] == "websocket.close":
                closed.set()

        async with asyncio.timeout(PATIENCE):
            await self._serve(websocket_scope(path), receive, send)
            await drain()
        return sent

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_note(message: Message) -> None:
            if "headers" in message:
                # Servers read the headers in `send`, once. ASGI lets them be an iterator.
                message = {**message, "headers": [*message["headers"]]}
            await send(message)
            final = message["type"] in HTTP_ENDS and not message.get("more_body", False)
            self.log.append("end" if final else message["type"])

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            self.raised.append(error)
            raise


@asynccontextmanager
async def serve(app: ASGIApp, *, lifespan: bool = False) -> AsyncIterator[Site]:
    """The app, running."""
    site = Site(app, lifespan)
    async with site.client:
        if lifespan:
            async with alive(app):
                yield site
        else:
            yield site


@asynccontextmanager
async def alive(app: ASGIApp) -> AsyncIterator[Life]:
    """The app between its start-up and its shutdown."""
    life = Life(app)
    life.scope["asgi"] = {"version": "3.0", "spec_version": "2.0"}
    answer = await life.startup()
    assert answer["type"] == "lifespan.startup.complete", answer
    try:
        yield life
    finally:
        assert life.task is not None
        if not life.task.done():
            answer = await life.shutdown()
            assert answer["type"] == "lifespan.shutdown.complete", answer


def websocket_scope(path: str) -> Scope:
    """A connection as uvicorn would announce it."""
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [
            (b"host", b"testserver"),
            (b"connection", b"upgrade"),
            (b"upgrade", b"websocket"),
            (b"sec-websocket-key", b"dGVzdHNlcnZlcg=="),
            (b"sec-websocket-version", b"13"),
        ],
        "client": ("127.0.0.1", 123),
        "server": ("testserver", 80),
        "subprotocols": [],
    }
