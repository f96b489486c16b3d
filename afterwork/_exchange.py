"""One request and its response, seen from outside: what the middleware keeps per request.

It is made for every request, so it stays small and does little: it remembers the first message of
the response, the last one and how many bytes went by. What that means is worked out only when a
callback has to know.
"""

from __future__ import annotations

from ._response import ResponseInfo
from .errors import ResponseSentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable

    from ._asgi import Message, Scope, Send
    from ._hosts import Host
    from ._pipeline import Pipeline
    from ._queue import Queue

STARTS = frozenset(
    ("http.response.start", "websocket.accept", "websocket.close", "websocket.http.response.start")
)
SERVER_ERROR = 500
SWITCHING_PROTOCOLS = 101
FORBIDDEN = 403


class Exchange:
    """A request and its response.

    There is no `__init__`: the middleware sets the slots itself, which saves a call per request.
    """

    __slots__ = (
        "began",
        "bytes_sent",
        "ended",
        "error",
        "finished",
        "forward",
        "host",
        "known_response",
        "last",
        "lost",
        "pipeline",
        "queue",
        "scope",
        "start",
    )

    began: float
    bytes_sent: int
    ended: float
    error: BaseException | None
    finished: bool
    forward: Send
    host: Host
    known_response: ResponseInfo | None
    last: Message | None
    lost: bool
    pipeline: Pipeline
    queue: Queue | None
    scope: Scope
    start: Message | None

    def send(self, message: Message) -> Awaitable[None]:
        """Looks at one message and passes it on, untouched. Not a coroutine, on purpose: that would
        be a second one per message."""
        if self.start is not None:
            self.last = message
            if "body" in message:
                self.bytes_sent += len(message["body"])
        elif message["type"] in STARTS:
            self.start = message
            if self.queue is not None:
                _keep_headers(message)
        return self.forward(message)

    def is_final(self, message: Message) -> bool:
        """Whether this is the message that ends the response."""
        kind = message["type"]
        if kind in ("http.response.body", "http.response.zerocopysend"):
            trailers = self.start is not None and self.start.get("trailers", False)
            return not trailers and not message.get("more_body", False)
        if kind == "http.response.trailers":
            return not message.get("more_trailers", False)
        if kind == "websocket.http.response.body":
            return not message.get("more_body", False)
        return kind in ("http.response.pathsend", "websocket.close")

    @property
    def completed(self) -> bool:
        """The final message was given to the server."""
        last = self.last or self.start
        return last is not None and self.is_final(last)

    def finish(self) -> bool:
        """Takes down that the response is over, and lets go of its body. Returns whether it was
        completed without an error."""
        completed = self.completed
        self.ended = self.pipeline.clock.monotonic()
        self.lost = self.error is not None and self._send_failed(self.error)
        self.forward = refuse
        self.last = COMPLETED if completed else None
        return completed and self.error is None

    def _send_failed(self, error: BaseException) -> bool:
        """Whether the server's `send` raised OSError, which left the app or led to what did."""
        code = getattr(self.forward, "__code__", None)
        for each in (error, error.__context__):
            if isinstance(each, OSError):
                trace = each.__traceback__
                while trace is not None:
                    if code is None or trace.tb_frame.f_code is code:
                        return True
                    trace = trace.tb_next
        return False

    def response(self) -> ResponseInfo | None:
        """The response as its callbacks see it; None while it is not over."""
        if self.known_response is None and self.finished:
            self.known_response = self.response_now()
        return self.known_response

    def response_now(self, sent: bool = True) -> ResponseInfo:
        """The response as it stands now. `sent`: False while its last message is held back."""
        start = self.start
        completed = sent and self.completed
        if self.scope["type"] == "websocket" and self.finished:
            completed = True  # an app may end without closing, because the client had closed
        disconnected = self.finished and (
            self.lost or (not completed and self.error is None and start is not None)
        )
        now = self.ended if self.finished else self.pipeline.clock.monotonic()
        return ResponseInfo(
            SERVER_ERROR if start is None else _status(start),
            () if start is None else _headers(start),
            bytes_sent=self.bytes_sent,
            error=self.error,
            completed=completed and self.error is None,
            disconnected=disconnected,
            duration=now - self.began,
        )


COMPLETED: Message = {"type": "http.response.pathsend"}
"""Stands for the final message of a response that is over, in place of the body."""


async def refuse(message: Message) -> None:
    """What a message is forwarded to once the response is over."""
    raise ResponseSentError(message["type"])


def _keep_headers(start: Message) -> None:
    """An iterator is good for one reading, and that is the server's: callbacks get a list."""
    headers = start.get("headers")
    if headers is not None and not isinstance(headers, (list, tuple)):
        start["headers"] = list(headers)


def _headers(start: Message) -> tuple[tuple[bytes, bytes], ...]:
    headers = start.get("headers") or ()
    if not isinstance(headers, (list, tuple)):
        return ()  # the server's to read: nothing was queued yet when it was sent
    return tuple((name, value) for name, value in headers)


def _status(start: Message) -> int:
    kind = start["type"]
    if kind == "websocket.accept":
        return SWITCHING_PROTOCOLS
    if kind == "websocket.close":
        return FORBIDDEN
    status: int = start["status"]
    return status
