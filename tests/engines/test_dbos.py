"""DBOS as the engine: workers that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import pysqlite3.dbapi2 as newer_sqlite
import pytest
from afterwork_integrations.dbos import DBOSEngine

from afterwork.testing.engine_contract import SharedEngineContract
from tests.services import database_url

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0


def engine_at(place: str) -> DBOSEngine:
    """`<url> <queue>`."""
    url, queue = place.split(" ")
    sqlite = newer_sqlite if url.startswith("sqlite") else None
    return DBOSEngine(url, queue=queue, schema="test_dbos", poll=0.05, silent=2.0, sqlite=sqlite)


class TestProcessesOnPostgreSQL(SharedEngineContract):
    def opener(self) -> tuple[str, str]:
        return f"{__name__}:engine_at", f"{database_url()} q-{uuid4().hex}"


class TestProcessesOnSQLite(SharedEngineContract):
    def opener(self) -> tuple[str, str]:
        return f"{__name__}:engine_at", f"sqlite:///{self.folder}/dbos.db afterwork"


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_after_a_kill_only_the_third_step_runs_again(kind: str, tmp_path: Path) -> None:
    """SIGKILL between the second and the third of three steps."""
    url = database_url() if kind == "postgresql" else f"sqlite:///{tmp_path}/dbos.db"
    place, log = f"{url} q-{uuid4().hex}", tmp_path / "log"
    command = [sys.executable, "-m", "tests.engines.dbos_steps", place]
    command += [f"sqlite:///{tmp_path}/afterwork.db", str(log)]

    def start(*more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, *more], cwd=ROOT, stdin=subprocess.PIPE, start_new_session=True
        )

    doomed = start("call")
    try:
        until(log, "between")
    finally:
        os.killpg(doomed.pid, signal.SIGKILL)
        doomed.communicate()
    heir = start()
    try:
        until(log, "third [1, 2]")
    finally:
        heir.communicate(b"\n", timeout=PATIENCE)

    assert heir.returncode == 0
    assert log.read_text().split("\n")[:-1] == [
        "first",
        "second",
        "between",
        "between",
        "third [1, 2]",
    ]


def until(log: Path, line: str) -> None:
    """Waits until the log has that line."""
    start = time.monotonic()
    while not (log.exists() and line in log.read_text().splitlines()):
        assert time.monotonic() - start < PATIENCE, log.exists() and log.read_text()
        time.sleep(0.02)
