"""DBOS as the engine, on a PostgreSQL server and on a SQLite file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pysqlite3.dbapi2 as newer_sqlite
import pytest
import sqlalchemy as sa

from afterwork.engines import Engine
from afterwork.testing.engine_contract import EngineContract
from afterwork_integrations.dbos import DBOSEngine
from tests.services import database_url

SCHEMA = "test_dbos"
"""Making DBOS's tables takes a second, so the tests share them, and have queues of their own."""


def on_postgresql(**options: Any) -> DBOSEngine:
    """A new, empty queue."""
    settings = {"queue": f"q-{uuid4().hex}", "schema": SCHEMA, "poll": 0.05, "silent": 2.0}
    return DBOSEngine(database_url(), **(settings | options))


def on_sqlite(folder: Path, **options: Any) -> DBOSEngine:
    """The same. Debian 12 has an older SQLite than DBOS needs."""
    settings = {"poll": 0.05, "silent": 2.0, "sqlite": newer_sqlite}
    return DBOSEngine(f"sqlite:///{folder}/{uuid4().hex}.db", **(settings | options))


class DBOSContract(EngineContract):
    async def put_garbage(self, engine: Engine, text: str) -> bool:
        assert isinstance(engine, DBOSEngine)
        _, client = engine._place.opened()
        await client.enqueue_async(
            {"workflow_name": "afterwork", "queue_name": engine.queue, "app_version": "afterwork"},
            text,
        )
        return True

    @asynccontextmanager
    async def transaction(self, engine: Engine) -> AsyncIterator[Any]:
        assert isinstance(engine, DBOSEngine)
        database, _ = engine._place.opened()
        with database.begin() as connection:
            yield connection


class TestOnPostgreSQL(DBOSContract):
    def make_engine(self) -> DBOSEngine:
        return on_postgresql()


class TestOnSQLite(DBOSContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def make_engine(self) -> DBOSEngine:
        return on_sqlite(self.folder)
