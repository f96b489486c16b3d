"""Celery's own worker as its users start it: integrations/recipes/celery, and what ends it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from afterwork_integrations.celery import CeleryEngine

from tests.services import rabbitmq_url

from .celery_queues import drop_queues

RECIPE = Path(__file__).parents[2] / "integrations" / "recipes" / "celery"
COMMAND = (
    "celery -A main:celery worker --concurrency 1 --loglevel INFO --without-gossip --without-mingle"
)
QUEUE = "afterwork"
PATIENCE = 20.0


def until(condition: Callable[[], object]) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE
        time.sleep(0.02)


class Shop:
    """The recipe, copied as its README says."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(shutil.copytree(RECIPE, folder / "shop"))
        # The queue has the name that the recipe gives it, and is dropped before and after.
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "BROKER_URL": rabbitmq_url(),
            "AFTERWORK_STORE": f"sqlite:///{folder}/afterwork.db",
        }

    @contextmanager
    def process(self, command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """A process in a group of its own, killed at the end."""
        with open(log, "wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", *command.split()],
                cwd=self.folder,
                env=self.environ,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    @contextmanager
    def worker(self, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        """The recipe's worker, when it is ready."""
        with self.process(COMMAND, log) as process:
            until(lambda: b"ready." in log.read_bytes() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield process

    def order(self, port: int, email: str) -> int:
        """What the shop answers to an order."""
        url = f"http://127.0.0.1:{port}/orders?email={email}"
        with urllib.request.urlopen(urllib.request.Request(url, method="POST")) as answer:
            return int(answer.status)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    engine = CeleryEngine(rabbitmq_url(), QUEUE)
    drop_queues(engine)
    try:
        yield Shop(tmp_path)
    finally:
        drop_queues(engine)


@pytest.fixture
def port(shop: Shop, tmp_path: Path) -> Iterator[int]:
    """The shop's web server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    log = tmp_path / "web"
    with shop.process(f"uvicorn main:app --port {number}", log) as process:
        until(lambda: b"running on" in log.read_bytes() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield number


def test_the_recipe_sends_the_receipt_from_a_worker(shop: Shop, port: int, tmp_path: Path) -> None:
    """The app is opened in the worker's process before the first call, and closed when SIGTERM has
    let what is under way end."""
    log = tmp_path / "worker"
    with shop.worker(log) as worker:
        assert shop.order(port, "ada@example.org") == 202
        until(lambda: b"opened" in log.read_bytes())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(PATIENCE) == 0
    text = log.read_text()
    assert text.count("receipt sent to ada@example.org") == 1
    assert text.index("opened") < text.index("receipt sent") < text.index("closed")
    assert b"receipt" not in (tmp_path / "web").read_bytes()


def test_a_pool_process_that_is_killed_gives_its_call_back_at_once(
    shop: Shop, port: int, tmp_path: Path
) -> None:
    log = tmp_path / "worker"
    with shop.worker(log) as worker:
        shop.order(port, "ada@example.org")
        until(lambda: b"opened" in log.read_bytes())
        for child in children(worker.pid):
            os.kill(child, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: log.read_bytes().count(b"opened") == 2)
        assert time.monotonic() - killed < 5
        assert b"Task handler raised error: WorkerLostError" in log.read_bytes()


def children(pid: int) -> list[int]:
    """The processes of a worker's pool."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_without_its_jobs_does_not_start(shop: Shop, tmp_path: Path) -> None:
    main = shop.folder / "main.py"
    text = main.read_text()
    main.write_text(
        text.replace("celery = engine.worker(work, lifespan=shop)", "celery = engine.app")
    )
    log = tmp_path / "worker"
    with shop.process(COMMAND, log) as process:
        assert process.wait(PATIENCE) == 1
    assert "afterwork: this worker does not know the jobs" in log.read_text()
