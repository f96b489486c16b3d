"""A limit on how long something may take, also where it takes its time to be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["in_time", "let_go"]

T = TypeVar("T")

_left: set[asyncio.Task[Any]] = set()
"""What was told to end and has not yet: psycopg asks its server first, for up to ten seconds."""


async def in_time(coroutine: Coroutine[Any, Any, T], seconds: float) -> T:
    """What the coroutine returns or raises. Raises `TimeoutError` after `seconds`; it is cancelled
    then, and nobody waits for that."""
    task = asyncio.create_task(coroutine)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        let_go(task)
    if not task.done():
        raise TimeoutError(f"no answer within {seconds:g} s")
    return task.result()


def let_go(task: asyncio.Task[Any]) -> None:
    """Cancels a task without waiting for its end."""
    if not task.done():
        _left.add(task)
        task.add_done_callback(_forget)
        task.cancel()


def _forget(task: asyncio.Task[Any]) -> None:
    _left.discard(task)
    if not task.cancelled():
        task.exception()  # or the loop would complain that nobody asked
