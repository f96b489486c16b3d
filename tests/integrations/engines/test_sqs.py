"""Amazon SQS as an engine, against moto's server."""

from __future__ import annotations

import pytest
from afterwork_integrations.sqs import SQSEngine

from afterwork import Engine
from tests.contracts.engine import EngineContract

from .sqs_server import credentials, new_queue, put

VISIBILITY = 3


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)


class TestSQSEngine(EngineContract):
    """A standard queue."""

    suffix = ""

    def make_engine(self) -> Engine:
        self.queue = new_queue(self.suffix)
        return SQSEngine(self.queue, visibility=VISIBILITY)

    async def put_garbage(self, engine: Engine, text: str) -> bool:
        put(self.queue, text or " ")
        return True


class TestSQSEngineFIFO(TestSQSEngine):
    """A FIFO queue, which has keys."""

    suffix = ".fifo"
