"""Journals to test with: in memory and in a file, by a clock that a test moves."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from afterwork import Afterwork, MemoryStore, SQLiteStore, after
from afterwork._journal import Journal
from afterwork._journal_tables import Call, JournalTables, Limits
from afterwork._rate import Rate
from afterwork.engines import Envelope
from afterwork.errors import StoreError
from tests.support import PATIENCE, Wire, answering, http_scope, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence
    from contextlib import AbstractContextManager


def envelope(number: int, job: str = "job", **fields: Any) -> Envelope:
    """One whose id sorts by its number."""
    return Envelope(id=f"call-{number:04}", job=job, enqueued_at=1.0, **fields)


def limits(concurrency: int | None = None, rate: str | None = None) -> dict[str, Limits]:
    """Those of the job `job`."""
    return {"job": Limits(concurrency, None if rate is None else Rate.parse(rate))}


def tables(store: Any, *, writes: bool = True) -> AbstractContextManager[JournalTables]:
    """The rows of a store's journal, for one transaction."""
    opened: AbstractContextManager[JournalTables] = store.journal("test", writes=writes)
    return opened


def add(store: Any, *envelopes: Envelope, owner: str | None = None) -> None:
    with tables(store) as rows:
        rows.add([(each, owner) for each in envelopes])


def take(
    store: Any,
    owner: str = "a",
    most: int = 10,
    held: dict[str, Limits] | None = None,
    jobs: Sequence[str] = ("job",),
) -> list[Envelope]:
    """Takes calls out, as a worker does."""
    with tables(store) as rows:
        rows.enter(owner, owner, 60)
        return rows.take(owner, jobs, held or {}, most)


def calls(store: Any) -> dict[str, Call]:
    """All that are not over, by their ids."""
    with tables(store, writes=False) as rows:
        return {each.envelope.id: each for each in rows.calls(None, None, None, 10_000)}


def states(store: Any) -> dict[str, str]:
    return {run_id: each.state for run_id, each in calls(store).items()}


def journal_of(work: Afterwork) -> Journal:
    journal = work.dispatch.durable.journal
    assert journal is not None
    return journal


_REQUESTS: set[asyncio.Task[None]] = set()


async def order(work: Afterwork, handler: Callable[[], Any], status: int = 200) -> Wire:
    """One request to an app with that handler, until its response is out."""
    wire = Wire(http_scope(), [{"type": "http.request", "body": b""}])
    task = asyncio.create_task(_request(work.wrap(answering(handler, status)), wire))
    _REQUESTS.add(task)
    task.add_done_callback(_REQUESTS.discard)
    await until(lambda: task.done() or wire.log[1:])
    if task.done():
        task.result()
    return wire


async def _request(app: Any, wire: Wire) -> None:
    await app(wire.scope, wire.receive, wire.send)


@asynccontextmanager
async def serving(work: Afterwork, concurrency: int = 10) -> AsyncIterator[asyncio.Event]:
    """A worker of this app's journal, until the end of the block."""
    stop = asyncio.Event()
    serve = work.engine.serve(concurrency=concurrency, stop=stop.wait())
    task = asyncio.create_task(serve)
    try:
        yield stop
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


class Broken:
    """Mixed into a store: its steps fail while `down` is set."""

    down = False
    fails: frozenset[str] = frozenset()
    """Steps that fail by themselves, by what they are doing."""

    def _check(self, doing: str) -> None:
        if self.down or doing in self.fails:
            raise StoreError("test", doing, "it is down")

    def journal(self, doing: str, *, writes: bool = True) -> Any:
        self._check(doing)
        return super().journal(doing, writes=writes)  # type: ignore[misc]

    def _step(self, doing: str, *, writes: bool = True) -> Any:
        self._check(doing)
        return super()._step(doing, writes=writes)  # type: ignore[misc]


class BrokenFile(Broken, SQLiteStore):
    """A file that can be broken."""


class BrokenMemory(Broken, MemoryStore):
    """Memory that can be broken."""


def durable(work: Afterwork, **options: Any) -> tuple[Any, list[Any]]:
    """A job that notes its argument."""
    seen: list[Any] = []

    @work.job(durable=True, **options)
    async def job(what: Any = None) -> None:
        seen.append(what)

    return job, seen


async def enqueue(job: Any, *args: Any, **options: Any) -> str:
    return await after.options(**options).enqueue(job, *args)


def opened(stores: list[Any]) -> Iterator[list[Any]]:
    for store in stores:
        store.open()
    yield stores
    for store in stores:
        store.close()
