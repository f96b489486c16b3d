"""Keeps what a durable job returned, for whoever asks for the run's state."""

from __future__ import annotations

from . import _events, _kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from ._codec import Codec
    from ._work import Work

PREFIX = "result:"
"""Begins the keys of results among the store's notes."""
MOST_CHARACTERS = 16_384
"""The longest result that is kept, as JSON text."""


class Result:
    """Takes what a work's function returns."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: Any = None

    def watch(self, work: Work) -> None:
        """Puts itself between the pipeline and the function."""
        fn = work.fn

        async def taken(awaitable: Awaitable[Any]) -> None:
            self.value = await awaitable

        if work.kind == _kinds.ASYNC:

            def call(*args: Any, **kwargs: Any) -> Awaitable[None]:
                return taken(fn(*args, **kwargs))

            work.fn = call
            return

        def call_sync(*args: Any, **kwargs: Any) -> object:
            value = fn(*args, **kwargs)
            if hasattr(value, "__await__"):
                return taken(value)
            self.value = value
            return None

        work.fn = call_sync

    def text(self, codec: Codec, title: str) -> str | None:
        """It as JSON text; None where there is nothing, or nothing that can be kept."""
        if self.value is None:
            return None
        try:
            text = codec.encode_result(self.value)
        except Exception as error:  # also what a property of the result raises
            _events.emit(_events.DEBUG, "result.not_kept", None, job=title, reason=str(error))
            return None
        if len(text) > MOST_CHARACTERS:
            reason = f"{len(text)} characters, of {MOST_CHARACTERS} at most"
            _events.emit(_events.DEBUG, "result.not_kept", None, job=title, reason=reason)
            return None
        return text
