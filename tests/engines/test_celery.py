"""Celery as the engine, with worker processes that are killed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from afterwork_integrations.celery import CeleryEngine

from afterwork.engines import Engine
from tests.contracts.engine import SharedEngineContract

from .celery_queues import drop_queues
from .celery_worker import new_queue

WORKERS = "tests.engines.celery_worker"
OPTIONS = ("--without-mingle", "--without-gossip")


class OnCelery(SharedEngineContract):
    """The workers are Celery's own."""

    open_engine = "on_rabbitmq"
    pool = "prefork"

    def opener(self) -> tuple[str, str]:
        return f"{WORKERS}:{self.open_engine}", new_queue()

    def worker_command(self, opener: tuple[str, str], store: str) -> Sequence[str]:
        options = ("--pool", self.pool, "--concurrency", "5", *OPTIONS)
        return [sys.executable, "-m", WORKERS, *opener, store, *options]

    async def drop(self, engine: Engine) -> None:
        await engine.close()
        assert isinstance(engine, CeleryEngine)
        drop_queues(engine)


class TestPrefork(OnCelery):
    """`celery worker`, as it is: SIGKILL ends the processes of its pool too."""


class TestThreads(OnCelery):
    """`celery worker --pool threads`, on a replicated queue."""

    open_engine = "on_quorum"
    pool = "threads"


class TestRedis(OnCelery):
    """A dead worker's calls come back after the visibility timeout."""

    open_engine = "on_redis"


class TestServe(OnCelery):
    """`afterwork worker`, without Celery's worker."""

    def worker_command(self, opener: tuple[str, str], store: str) -> Sequence[str]:
        return SharedEngineContract.worker_command(self, opener, store)
