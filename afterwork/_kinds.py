"""What was given to `after()`: how it is called, and whether it can be run at all.

Decided once, at the call, where a mistake can still be shown on the line that made it.
"""

from __future__ import annotations

import sys

from .errors import InvalidCallbackError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SYNC = 0
"""A callable that runs in a thread. What it returns is awaited on the loop if it is awaitable."""
ASYNC = 1
"""A callable that returns an awaitable."""
AWAITABLE = 2
"""A coroutine, Task or Future: there is nothing to call, and nothing to try again."""

COROUTINE_FLAG = 0x80
GENERATOR_FLAGS = 0x20 | 0x200
"""`co_flags` of generator functions and async generator functions (inspect.CO_GENERATOR, ...)."""


def kind_of(thing: Any) -> int:
    """The kind of a callback. Raises `InvalidCallbackError` for what cannot be run."""
    try:
        flags = thing.__code__.co_flags
    except AttributeError:
        return _kind_of_other(thing)
    if flags & GENERATOR_FLAGS:
        raise InvalidCallbackError(
            f"the generator function {thing.__qualname__!r}",
            "Calling it would run none of its code; give a plain or async function instead.",
        )
    return ASYNC if flags & COROUTINE_FLAG else SYNC


def _kind_of_other(thing: Any) -> int:
    if not callable(thing):
        if hasattr(thing, "__await__"):
            return AWAITABLE
        raise InvalidCallbackError(
            f"{type(thing).__name__} {_shorten(thing)}",
            "Write after(fn, arg), not after(fn(arg)), where fn is a plain function.",
        )
    if _is_partial(thing):
        inner: Any = thing
        return kind_of(inner.func)
    if isinstance(thing, type):
        return SYNC
    call = getattr(type(thing).__call__, "__code__", None)
    if call is not None:
        return kind_of(thing.__call__)
    return SYNC


def is_async(thing: Any) -> bool:
    """Whether calling this gives something to await, as far as can be seen."""
    try:
        return callable(thing) and kind_of(thing) == ASYNC
    except InvalidCallbackError:
        return False  # a generator function, which is its caller's own affair


def _is_partial(thing: object) -> bool:
    # Looked up where it is, since importing it would cost every cold start; and by its class, since
    # a mock has whatever attribute one asks for.
    functools = sys.modules.get("functools")
    return functools is not None and isinstance(thing, functools.partial)


def name_of(thing: Any) -> str:
    """The name a callback goes by in logs."""
    if _is_partial(thing):
        inner: Any = thing
        return name_of(inner.func)
    for attribute in ("__qualname__", "__name__"):
        name = getattr(thing, attribute, None)
        if isinstance(name, str):
            return name
    if hasattr(type(thing), "get_coro"):  # a Task goes by its coroutine
        return name_of(thing.get_coro())
    return type(thing).__qualname__


def discard(thing: Any) -> None:
    """Drops a callback that will never run. An unstarted coroutine is closed, so that Python does
    not warn that it was never awaited; a Task runs on, since it is its maker's."""
    close = getattr(thing, "close", None)
    if close is not None and hasattr(thing, "cr_frame"):
        close()


def _shorten(thing: object) -> str:
    text = repr(thing)
    return text if len(text) <= 60 else text[:57] + "..."
