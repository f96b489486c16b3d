"""The engine on Procrastinate in several processes, some of which are killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from afterwork.engines import Engine
from tests.contracts.engine import SharedEngineContract
from tests.integrations.engines.schemas import drop_schema, new_schema
from tests.integrations.engines.test_procrastinate import engine_in


def open_in(schema: str) -> Engine:
    """What every process opens."""
    return engine_in(schema, stalled_after=2.0)


class TestProcrastinateInProcesses(SharedEngineContract):
    @pytest.fixture(autouse=True)
    def _schema(self) -> Iterator[None]:
        self.schema = new_schema()
        yield
        drop_schema(self.schema)

    def opener(self) -> tuple[str, str]:
        return f"{__name__}:open_in", self.schema
