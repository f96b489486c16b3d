"""Doing something once, whoever and however often asks: a mark in the store."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from ._dispatch import Dispatch

PREFIX = "once:"


class Once:
    """`Afterwork.once` makes it. A context manager, sync and async; it gives True to the first who
    enters it, and False to everybody else until its time is over."""

    __slots__ = ("_dispatch", "_first", "_key", "_ttl")

    def __init__(self, dispatch: Dispatch, key: str, ttl: float) -> None:
        self._dispatch = dispatch
        self._key = PREFIX + key
        self._ttl = ttl
        self._first = False

    def __enter__(self) -> bool:
        store = self._dispatch.store()
        self._first = store.add(self._key, self._dispatch.worker, ttl=self._ttl)
        return self._first

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self._first:
            self._dispatch.store().delete(self._key)

    async def __aenter__(self) -> bool:
        return await self._dispatch.ask_here(self.__enter__)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self._first:
            await self._dispatch.ask_here(lambda: self._dispatch.store().delete(self._key))
