from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from afterwork import MemoryStore, SQLiteStore
from tests.clock import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path, clock: HandClock) -> Iterator[Any]:
    """Each kind of store that has a journal."""
    made: Any = MemoryStore(clock=clock)
    if request.param == "file":
        made = SQLiteStore(tmp_path / "afterwork.db", clock=clock)
    made.open()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SQLiteStore]:
    """A store in a file, by the machine's clock."""
    made = SQLiteStore(tmp_path / "afterwork.db")
    made.open()
    yield made
    made.close()
