"""Several calls of a service that takes only one thing at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from afterwork.errors import EngineError

__all__ = ["side_by_side"]

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 10


async def side_by_side(call: Callable[[T], Awaitable[R]], items: Sequence[T]) -> list[R]:
    """Calls with each item, ten at a time, and returns the results in their order. The first
    `EngineError` is raised once what is under way is over, and nothing more is begun."""
    results: dict[int, R] = {}
    places = iter(range(len(items)))
    errors: list[EngineError] = []

    async def work() -> None:
        for place in places:
            try:
                results[place] = await call(items[place])
            except EngineError as error:
                errors.append(error)
            if errors:
                return

    async with anyio.create_task_group() as group:
        for _ in range(min(AT_ONCE, len(items))):
            group.start_soon(work)
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(items))]
