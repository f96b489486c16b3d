"""Reading the body of a request, within bounds of size and time."""

from __future__ import annotations

from ._answers import Answer, Refused
from ._verify import TriggerRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._asgi import Receive, Scope
    from ._loop import Loop

SECONDS = 30.0
"""How long a caller may take to send its body."""


async def read_body(scope: Scope, receive: Receive, loop: Loop, most: int) -> bytes:
    """The whole body, at most so many bytes. Raises `Refused`."""
    chunks: list[bytes] = []

    async def read() -> None:
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                if size < expected:
                    raise Refused(Answer(400, "incomplete"))
                return  # it said all that it had to say
            chunk = bytes(message.get("body", b""))
            size += len(chunk)
            if size > most:
                raise Refused(Answer(413, "too_large"))
            chunks.append(chunk)
            if not message.get("more_body", False):
                return

    expected = _length(TriggerRequest(scope))
    if expected != float("inf") and expected > most:
        raise Refused(Answer(413, "too_large"))
    in_time = await loop.limit(read(), SECONDS)
    if not in_time:
        raise Refused(Answer(408, "too_slow"))
    return b"".join(chunks)


def _length(request: TriggerRequest) -> float:
    """How many bytes a request says that its body has; infinite where it does not say."""
    length = request.header("content-length")
    if length is None:
        return 0.0 if request.header("transfer-encoding") is None else float("inf")
    return float(length[:20]) if length.isascii() and length.isdigit() else float("inf")
