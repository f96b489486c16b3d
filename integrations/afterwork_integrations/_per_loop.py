"""One thing of a kind for each event loop: connections of a loop that is over are of no use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from afterwork.errors import EngineError

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Makes it when it is first asked for. `engine` names whose it is, for errors."""

    def __init__(self, engine: str, make: Callable[[], Awaitable[T]]) -> None:
        self._engine = engine
        self._make = make
        self._made: tuple[asyncio.AbstractEventLoop, T] | None = None
        self._making: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None

    async def get(self) -> T:
        """That of the loop that runs. Raises `EngineError` where it is not asyncio's, and what
        making it raises."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            problem, hint = "this loop is not asyncio's", "It runs on asyncio alone."
            raise EngineError(self._engine, "connect", problem, hint) from None
        if self._making is None or self._making[0] is not loop:
            self._making = loop, asyncio.Lock()
        async with self._making[1]:
            if self._made is None or self._made[0] is not loop:
                self._made = loop, await self._make()
            return self._made[1]

    def pop(self) -> T | None:
        """That of the loop that runs, for who closes it; the next `get` makes another."""
        made, self._made = self._made, None
        return made[1] if made is not None and made[0] is asyncio.get_running_loop() else None
