"""What the tests of an engine have in common."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

from .._after import after
from .._afterwork import Afterwork
from .._store_memory import MemoryStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from typing import Any, Unpack

    from .._engine import Capabilities, Engine
    from .._job import Job
    from .._options import OptionValues
    from .._settings import SettingValues
    from .._store import RunRecord, Store


class EngineTests:
    """How the tests make and use an engine. See `engine_contract` for what a user defines."""

    patience = 20.0
    """Seconds after which a condition that has not come true fails the test."""
    late = 3.0
    """How many seconds a busy machine may add to what the engine declares."""

    def make_engine(self) -> Engine:
        """A new engine on a new, empty queue."""
        raise TypeError(f"{type(self).__name__} has to define make_engine(), which returns one")

    def make_work(self, settings: SettingValues) -> Afterwork:
        """An app with that engine."""
        settings["engine"] = self.make_engine()
        return Afterwork(**settings)

    def make_store(self) -> Store:
        """A new, empty store. The default is in memory."""
        return MemoryStore()

    async def serve(self, work: Afterwork, *, concurrency: int, stop: Awaitable[object]) -> None:
        """Runs a worker until `stop` is done."""
        await work.engine.serve(concurrency=concurrency, stop=stop)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        """Puts a text that is no envelope into the queue. Returns whether it did; the default does
        not."""
        return False

    def transaction(self, engine: Engine) -> AbstractAsyncContextManager[Any]:
        """A connection of the caller's in a transaction: committed at the end of the block, rolled
        back where it raises. For engines that can write in it."""
        raise TypeError(
            f"{type(self).__name__} has to define transaction(), which returns an async context "
            "manager with a connection, because the engine's capabilities say transaction=True"
        )

    async def drop(self, engine: Engine) -> None:
        """Called after each test: removes the queue. The default closes the engine."""
        await engine.close()

    @asynccontextmanager
    async def site(self, **settings: Unpack[SettingValues]) -> AsyncIterator[Site]:
        """An app with a new engine."""
        settings["store"] = store = self.make_store()
        store.open()
        site = Site(self, self.make_work(settings), store)
        try:
            yield site
        finally:
            await self.drop(site.engine)
            store.close()


class Site:
    """An app, its engine and its store, and what its jobs were called with."""

    def __init__(self, tests: EngineTests, work: Afterwork, store: Store) -> None:
        self.tests = tests
        self.work = work
        self.engine = work.engine
        self.store = store
        self.seen: list[Any] = []
        self._worker: asyncio.Task[None] | None = None

        async def note(what: object) -> None:
            self.seen.append(what)

        self.note: Job[[object], Any] = self.work.job(durable=True)(note)
        """A job that appends its argument to `seen`."""

    @property
    def can(self) -> Capabilities:
        """What the engine says of itself."""
        return self.engine.capabilities

    async def call(self, what: object, **options: Unpack[OptionValues]) -> str:
        """A call of `note`, as the id of its run."""
        return await after.options(**options).enqueue(self.note, what)

    @asynccontextmanager
    async def serving(self, concurrency: int = 10) -> AsyncIterator[Worker]:
        """A worker. At the end of the block it is told to stop, and its end awaited."""
        worker = Worker(self, concurrency)
        self._worker = worker.task
        try:
            yield worker
            await worker.end()
        finally:
            self._worker = None
            await worker.kill()

    async def until(self, condition: Callable[[], Any]) -> None:
        """Waits for a condition; a worker that ends meanwhile ends the wait with its error."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < self.tests.patience, (
                f"not after {self.tests.patience:g} s; the jobs were called with {self.seen}"
            )
            if self._worker is not None and self._worker.done():
                self._worker.result()
                raise AssertionError("serve() returned although nobody told it to stop")
            await asyncio.sleep(0.005)

    def record(self, run_id: str) -> RunRecord | None:
        """What the store has of a run."""
        return self.store.run(run_id)

    async def ended(self, run_id: str, state: str = "succeeded") -> RunRecord:
        """Waits until a run has ended so. Returns its record."""
        await self.until(lambda: getattr(self.record(run_id), "state", None) == state)
        found = self.record(run_id)
        assert found is not None
        return found

    async def letters(self) -> dict[str, int]:
        """The ids of dead letters, and how many attempts were made."""
        return {letter.id: letter.attempts for letter in await self.work.dead_letters()}

    async def nothing_else(self) -> None:
        """Waits until a call made now is over, by a worker of its own, with what was before it."""
        async with self.serving():
            await self.ended(await self.call("the last"))


class Worker:
    """A worker that serves."""

    def __init__(self, site: Site, concurrency: int) -> None:
        self.site = site
        self.stop = asyncio.Event()
        """Set it, and the worker takes no more."""
        serving = site.tests.serve(site.work, concurrency=concurrency, stop=self.stop.wait())
        self.task = asyncio.ensure_future(serving)

    async def end(self) -> None:
        """Tells it to stop and waits until it has."""
        self.stop.set()
        done, _ = await asyncio.wait({self.task}, timeout=self.site.tests.patience)
        assert done, f"serve() has not returned {self.site.tests.patience:g} s after its stop"
        self.task.result()

    async def kill(self) -> None:
        """Cancels it and waits until it is over."""
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=self.site.tests.patience)
        assert self.task.done(), "serve() went on although it was cancelled"


async def raises(kind: type[Exception], awaitable: Awaitable[object]) -> None:
    """Fails unless awaiting it raises such an error."""
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"no {kind.__name__} was raised")
