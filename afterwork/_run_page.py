"""`GET /runs/{id}` of the trigger route: where a run stands, once or as a stream of its changes."""

from __future__ import annotations

import json

from ._answers import Answer
from ._status import status_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._asgi import Receive, Send
    from ._dispatch import Dispatch
    from ._loop import Loop
    from ._status import RunStatus

PAGE = "runs/"
"""Begins the path."""
POLL_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 15.0
"""How often a comment is sent where nothing changes, so that no proxy closes the connection."""
MOST_SECONDS = 25.0
"""How long a stream is kept: then the browser connects again by itself. Longer ones would keep a
server from shutting down."""
HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


async def answer(dispatch: Dispatch, run_id: str) -> Answer:
    """Where the run stands, now."""
    status = await status_of(dispatch, run_id)
    if status is None:
        return Answer(404, "unknown_run")
    return Answer(200, "ok", **status.view())


class RunStream:
    """Server-sent events, one for each change: `event: state`, with the same JSON as the page. It
    ends when the run is over."""

    def __init__(
        self, dispatch: Dispatch, run_id: str, first: RunStatus, receive: Receive, loop: Loop
    ) -> None:
        self._dispatch = dispatch
        self._run_id = run_id
        self._first = first
        self._receive = receive
        self._loop = loop

    async def send(self, send: Send) -> None:
        """Sends it, until the run is over or the client has left."""
        gone = self._loop.signal()

        async def watch() -> None:
            message: Any = {}
            while message.get("type") != "http.disconnect":
                message = await self._receive()
            gone.set()

        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        self._loop.background(watch)
        await self._send_changes(send, gone)
        await send({"type": "http.response.body", "body": b""})

    async def _send_changes(self, send: Send, gone: Any) -> None:
        clock = self._dispatch.clock
        end = clock.monotonic() + MOST_SECONDS
        said_at = clock.monotonic()
        status: RunStatus | None = self._first
        last: dict[str, Any] | None = None
        while status is not None:
            view = status.view()
            text = b""
            if view != last:
                text = f"event: state\ndata: {json.dumps(view)}\n\n".encode()
            elif clock.monotonic() - said_at >= KEEP_ALIVE_SECONDS:
                text = b": still here\n\n"
            if text:
                last, said_at = view, clock.monotonic()
                await send({"type": "http.response.body", "body": text, "more_body": True})
            if status.over or clock.monotonic() >= end or await gone.wait(POLL_SECONDS):
                return
            status = await status_of(self._dispatch, self._run_id)
