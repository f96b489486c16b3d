"""One ASGI request whose answer is handed over as soon as it is complete, not when the app is."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import Future
from typing import Any

Message = MutableMapping[str, Any]

ANSWERED_LATE_SECONDS = 0.05
"""How long an app that answered after the time for its work was over may still go on."""

_log = logging.getLogger("afterwork.aws_lambda")


class Request:
    """One request. `answer` gets what Mangum makes a Lambda response from: status, headers, body.

    `ends`: when work must be over, as `time.time()`, or None. An app that has answered and still
    goes on then, for example in a framework's background task, is cancelled, which is logged. One
    that has not answered is left to Lambda's own timeout.
    """

    def __init__(self, scope: dict[str, Any], body: bytes, ends: float | None) -> None:
        self.answer: Future[dict[str, Any]] = Future()
        self._scope = scope
        self._incoming = body
        self._ends = ends
        self._start: Message | None = None
        self._body: list[bytes] = []
        self._received = False
        self._complete = asyncio.Event()
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, app: Callable[..., Awaitable[Any]]) -> None:
        """Calls the app. Never raises: a failure is logged and answered with 500."""
        self._task = asyncio.current_task()
        try:
            await app(self._scope, self._receive, self._send)
            if not self.answer.done():
                _log.error("the app ended without a whole response; the client gets 500")
        except BaseException as error:
            if not self.answer.done() or not isinstance(error, asyncio.CancelledError):
                _log.exception("the app failed")
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if not self.answer.done():
                headers = [[b"content-type", b"text/plain; charset=utf-8"]]
                self._finish(500, headers, b"Internal Server Error")

    async def _receive(self) -> Message:
        if not self._received:
            self._received = True
            return {"type": "http.request", "body": self._incoming, "more_body": False}
        await self._complete.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        expected = "http.response.start" if self._start is None else "http.response.body"
        if kind != expected or self.answer.done():
            awaited = "nothing more" if self.answer.done() else expected
            raise RuntimeError(f"the app sent {kind!r} where {awaited!r} was expected")
        if self._start is None:
            self._start = message
            return
        self._body.append(bytes(message.get("body", b"")))
        if not message.get("more_body", False):
            start = self._start
            self._finish(start["status"], [*start.get("headers", ())], b"".join(self._body))
            self._complete.set()
            if self._ends is not None:
                left = max(self._ends - time.time(), ANSWERED_LATE_SECONDS)
                self._timer = asyncio.get_running_loop().call_later(left, self._cut)

    def _finish(self, status: int, headers: list[Any], body: bytes) -> None:
        self.answer.set_result({"status": status, "headers": headers, "body": body})

    def _cut(self) -> None:
        assert self._task is not None, "coroutines run in tasks"
        _log.error(
            "the app went on after its response until the function's time was over, and is "
            "cancelled: %s %s",
            self._scope.get("method"),
            self._scope.get("path"),
        )
        self._task.cancel()
