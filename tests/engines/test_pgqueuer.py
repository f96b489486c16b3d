"""The engine on PgQueuer in several processes, some of which are killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from afterwork.engines import Engine
from tests.contracts.engine import SharedEngineContract
from tests.integrations.engines.schemas import drop_schema, new_schema
from tests.integrations.engines.test_pgqueuer import engine_in


def open_in(schema: str) -> Engine:
    """What every process opens."""
    return engine_in(schema, stalled_after=2.0)


class TestPgQueuerInProcesses(SharedEngineContract):
    @pytest.fixture(autouse=True)
    def _schema(self) -> Iterator[None]:
        self.schema = new_schema()
        yield
        drop_schema(self.schema)

    def opener(self) -> tuple[str, str]:
        return f"{__name__}:open_in", self.schema
