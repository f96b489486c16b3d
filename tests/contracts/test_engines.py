from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from afterwork import Afterwork, SQLiteStore
from afterwork.errors import UnsupportedError
from afterwork.testing import MemoryEngine
from afterwork.testing._engine_tests import raises
from tests.contracts.engine import EngineContract, SharedEngineContract
from tests.contracts.file_engine import FileEngine

if TYPE_CHECKING:
    from afterwork import Engine, Store
    from afterwork._settings import SettingValues
    from afterwork.engines import Envelope


class TestMemoryEngine(EngineContract):
    def make_engine(self) -> Engine:
        return MemoryEngine()


class TestJournalInMemory(EngineContract):
    """The engine that an app has without another."""

    def make_work(self, settings: SettingValues) -> Afterwork:
        return Afterwork(**settings)


class TestJournalInAFile(TestJournalInMemory):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "afterwork.db"

    def make_store(self) -> Store:
        return SQLiteStore(self.path)


class TestFileEngine(EngineContract):
    """One that can do little."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "calls.db")

    def make_engine(self) -> Engine:
        return FileEngine(self.path)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        assert isinstance(engine, FileEngine)
        engine.put(text)
        return True

    @contextlib.asynccontextmanager
    async def transaction(self, engine: Engine) -> AsyncIterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            yield connection


class TestFileEngineInProcesses(SharedEngineContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = str(tmp_path / "calls.db")

    def opener(self) -> tuple[str, str]:
        return "tests.contracts.file_engine:FileEngine", self.path


@pytest.mark.parametrize(
    ("contract", "method", "arguments"),
    [
        (EngineContract, "make_engine", ()),
        (EngineContract, "transaction", (None,)),
        (SharedEngineContract, "opener", ()),
    ],
)
def test_the_contract_says_what_is_missing(
    contract: type, method: str, arguments: tuple[None, ...]
) -> None:
    with pytest.raises(TypeError, match=rf"has to define {method}\(\)"):
        getattr(contract(), method)(*arguments)


class Bad(EngineContract):
    """A suite that nobody can fail is none."""

    __test__ = False
    patience = 0.5
    late = 0.3

    def __init__(self, engine: MemoryEngine) -> None:
        self.engine = engine

    def make_engine(self) -> Engine:
        return self.engine


class Forgetful(MemoryEngine):
    """Loses what it is given."""

    async def enqueue(
        self, envelopes: Sequence[Envelope], *, connection: Any = None
    ) -> Sequence[str]:
        return [each.id for each in envelopes]


class Hasty(MemoryEngine):
    """Does not wait, knows no keys, and drops the next attempt."""

    def _add(self, envelope: Envelope) -> str:
        if envelope.attempt == 1:
            super()._add(replace(envelope, run_at=None, key=None))
        return envelope.id


class Greedy(MemoryEngine):
    """Runs all it has at once, and does not hear of `stop`."""

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        asyncio.ensure_future(stop).cancel()
        await super().serve(concurrency=1000, stop=asyncio.sleep(60))


class Deaf(MemoryEngine):
    """Is not to be cancelled."""

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        end = asyncio.get_running_loop().time() + 1
        serving = asyncio.ensure_future(super().serve(concurrency=concurrency, stop=stop))
        while (left := end - asyncio.get_running_loop().time()) > 0:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({serving}, timeout=left)
        serving.cancel()


class Quitter(MemoryEngine):
    """Ends by itself."""

    async def serve(self, *, concurrency: int, stop: Awaitable[object]) -> None:
        asyncio.ensure_future(stop).cancel()


@pytest.mark.parametrize(
    ("engine", "test", "complaint"),
    [
        (Forgetful, "test_a_call_runs_once_and_looks_like_any_run", "not after 0.5 s"),
        (Forgetful, "test_a_key_keeps_a_second_call_out_while_the_first_waits", None),
        (Hasty, "test_a_delayed_call_is_never_early", None),
        (Hasty, "test_a_call_that_fails_is_tried_again", "not after 0.5 s"),
        (Hasty, "test_a_key_keeps_a_second_call_out_while_the_first_waits", None),
        (Greedy, "test_no_more_run_at_a_time_than_it_is_told", None),
        (Greedy, "test_a_call_runs_once_and_looks_like_any_run", "has not returned"),
        (Deaf, "test_a_worker_that_is_cut_gives_back_what_it_has", None),
        (Quitter, "test_a_call_runs_once_and_looks_like_any_run", "nobody told it to stop"),
    ],
)
async def test_the_contract_notices_a_bad_engine(
    engine: type[MemoryEngine], test: str, complaint: str | None
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        await getattr(Bad(engine()), test)()


async def test_an_engine_that_takes_what_it_should_refuse_is_noticed() -> None:
    with pytest.raises(AssertionError, match="no UnsupportedError was raised"):
        await raises(UnsupportedError, asyncio.sleep(0))
