"""Working through a big set in pieces, over as many runs as it takes."""

from __future__ import annotations

import json
from functools import partial

from ._after import current_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from typing import Any, TypeAlias

    from ._dispatch import Dispatch
    from ._run import Run

    Page: TypeAlias = tuple[list[Any], Any]
    Fetch: TypeAlias = Callable[[Any], Page | Awaitable[Page]]

PREFIX = "batches:"
RESERVE = 1.5
"""A batch is begun if there is time for one and a half of the longest so far."""


class Batches:
    """`Afterwork.batches` makes it: to be iterated with `for` or `async for`, inside a job."""

    def __init__(self, dispatch: Dispatch, fetch: Fetch, key: str | None, reserve: float) -> None:
        self._dispatch = dispatch
        self._fetch = fetch
        self._key = key
        self._reserve = reserve
        self._longest = 0.0

    def __iter__(self) -> Iterator[list[Any]]:
        run = current_run()
        key = self._name(run)
        store = self._dispatch.store()
        cursor = _read(store.get(key))
        while self._has_time(run):
            began = self._dispatch.clock.monotonic()
            page: Any = self._fetch(cursor)
            items, cursor = page
            if items:
                yield items
            self._took(began)
            if cursor is None:
                store.delete(key)
                return
            store.put(key, json.dumps(cursor))

    async def __aiter__(self) -> AsyncIterator[list[Any]]:
        run = current_run()
        key = self._name(run)
        dispatch = self._dispatch
        cursor = _read(await dispatch.ask_here(lambda: dispatch.store().get(key)))
        while self._has_time(run):
            began = dispatch.clock.monotonic()
            page: Any = self._fetch(cursor)
            items, cursor = await page if hasattr(page, "__await__") else page
            if items:
                yield items
            self._took(began)
            if cursor is None:
                await dispatch.ask_here(lambda: dispatch.store().delete(key))
                return
            await dispatch.ask_here(partial(dispatch.store().put, key, json.dumps(cursor)))

    def _name(self, run: Run) -> str:
        return PREFIX + (self._key or run.name)

    def _has_time(self, run: Run) -> bool:
        if run.stop_reason is not None:
            return False
        left = run.remaining()
        return left is None or left > max(self._reserve, RESERVE * self._longest)

    def _took(self, began: float) -> None:
        self._longest = max(self._longest, self._dispatch.clock.monotonic() - began)


def _read(note: str | None) -> Any:
    return None if note is None else json.loads(note)
