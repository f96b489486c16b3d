"""The store in a SQLite file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from afterwork._store_sqlite import SQLiteStore
from tests.clock import HandClock
from tests.contracts.store import SharedStoreContract

if TYPE_CHECKING:
    from afterwork._store import Store


def open_file(path: str) -> Store:
    """How the processes of the contract open the store."""
    return SQLiteStore(path)


class TestSQLiteStore(SharedStoreContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "afterwork.db"

    def make_store(self) -> Store:
        self.clock = HandClock()
        return SQLiteStore(self.path, clock=self.clock)

    def advance(self, store: Store, seconds: float) -> None:
        self.clock.advance(seconds)

    def opener(self) -> tuple[str, str]:
        return f"{__name__}:open_file", str(self.path)
