"""Recipes for engines on PostgreSQL, started with the commands of their READMEs."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from afterwork import SQLiteStore
from tests.integrations.engines.schemas import drop_schema, new_schema, within
from tests.integrations.engines.site import closed_port

RECIPES = Path(__file__).parents[2] / "integrations" / "recipes"
PATIENCE = 30.0
ORDERS = 6


@pytest.fixture
def url() -> Iterator[str]:
    """The database, seen from a schema of its own."""
    name = new_schema()
    yield within(name)
    drop_schema(name)


def command(recipe: str, program: str) -> list[str]:
    """The line of the README that starts a program."""
    text = (RECIPES / recipe / "README.md").read_text()
    block = re.search(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert block is not None
    (line,) = [line for line in block[1].splitlines() if line.startswith(f"{program} ")]
    words = shlex.split(line)
    return [str(Path(sys.executable).with_name(words[0])), *words[1:]]


@contextmanager
def running(
    words: list[str], recipe: str, url: str, store: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own."""
    environ = {
        **os.environ,
        "DATABASE_URL": url,
        "AFTERWORK_STORE": f"sqlite:///{store}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    folder = RECIPES / recipe
    process = subprocess.Popen(words, cwd=folder, env=environ, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


def until(condition: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    start = time.monotonic()
    while not condition():
        assert process.poll() is None, f"it ended with {process.returncode}"
        assert time.monotonic() - start < PATIENCE, "it has not come true"
        time.sleep(0.05)


def answers(address: str) -> bool:
    try:
        return httpx.get(address).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("recipe", ["pgqueuer", "procrastinate"])
def test_orders_are_answered_and_a_worker_sends_their_receipts(
    recipe: str, url: str, tmp_path: Path
) -> None:
    """The web process is gone by then; the worker ends when it is told to, within its grace."""
    port = closed_port()
    uvicorn = command(recipe, "uvicorn")
    uvicorn[uvicorn.index("--port") + 1] = str(port)
    path = tmp_path / "store.db"
    with running(uvicorn, recipe, url, path) as web:
        until(lambda: answers(f"http://127.0.0.1:{port}/openapi.json"), web)
        for number in range(ORDERS):
            order = f"http://127.0.0.1:{port}/orders?email={number}@example.org"
            assert httpx.post(order, timeout=PATIENCE).status_code == 202

    store = SQLiteStore(path)
    store.open()
    with running(command(recipe, "afterwork"), recipe, url, path) as worker:
        until(lambda: len(store.runs(job="send_receipt", state="succeeded")) == ORDERS, worker)
        worker.terminate()
        assert worker.wait(PATIENCE) == 0
    assert len(store.runs(job="send_receipt")) == ORDERS
    store.close()
