from __future__ import annotations

from typing import TYPE_CHECKING

from afterwork.testing import MemoryEngine
from tests.contracts.engine import EngineContract

if TYPE_CHECKING:
    from afterwork import Engine


class TestMemoryEngine(EngineContract):
    def make_engine(self) -> Engine:
        return MemoryEngine()
