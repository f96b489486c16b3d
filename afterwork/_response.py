"""What a callback may know of the response that it ran after."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class ResponseInfo:
    """A response, as it went out. Frozen: after the response nothing of it can be changed.

    `status`
        The status that was sent. 500 where the app raised or returned without an answer, since
        that is what servers send in its place. For a WebSocket 101 once accepted, 403 when refused
        (or the status of the denial response).
    `headers`
        As sent, in order: pairs of bytes. ASGI asks for names in lower case, but not every
        framework keeps to that; `header(name)` finds one in any case. Empty if the app gave them as
        an iterator and nothing was queued yet when it did.
    `bytes_sent`
        Body bytes given to the server in `http.response.body` messages. Files that a server sends
        by itself (`http.response.pathsend`, zero-copy) are not counted.
    `error`
        The exception that left the app, or None.
    `completed`
        The last message of the response was sent, and nothing was raised before that.
    `disconnected`
        The client was gone before the response was complete, as far as the server let the app know:
        `send` raised `OSError`, or the app stopped early without an error. A server that swallows
        what is sent to a client that left (uvicorn, hypercorn, granian and daphne do) cannot show
        more.
    `duration`
        Seconds from the first sight of the request to the moment this was taken.
    """

    __slots__ = (
        "bytes_sent",
        "completed",
        "disconnected",
        "duration",
        "error",
        "headers",
        "status",
    )

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    bytes_sent: int
    error: BaseException | None
    completed: bool
    disconnected: bool
    duration: float

    def __init__(
        self,
        status: int,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        *,
        bytes_sent: int = 0,
        error: BaseException | None = None,
        completed: bool = True,
        disconnected: bool = False,
        duration: float = 0.0,
    ) -> None:
        put = object.__setattr__
        put(self, "status", status)
        put(self, "headers", headers)
        put(self, "bytes_sent", bytes_sent)
        put(self, "error", error)
        put(self, "completed", completed)
        put(self, "disconnected", disconnected)
        put(self, "duration", duration)

    @property
    def success(self) -> bool:
        """Status below 400 and no error: what `on="success"` asks for."""
        return self.error is None and self.status < 400

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case, as text (latin-1); None where there is
        none."""
        wanted = name.lower().encode("latin-1")
        for key, value in self.headers:
            if key.lower() == wanted:
                return value.decode("latin-1")
        return None

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(
            f"the response is over, so {name!r} cannot be set; change the response in the handler"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"the response is over, so {name!r} cannot be deleted")

    def __repr__(self) -> str:
        state = "completed" if self.completed else "incomplete"
        return f"<ResponseInfo {self.status} {state}, {self.bytes_sent} bytes>"
