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
from .celery_worker import new_queue

RECIPE = Path(__file__).parents[2] / "integrations" / "recipes" / "celery"
COMMAND = (
    "celery -A main:celery worker --concurrency 1 --loglevel INFO --without-gossip --without-mingle"
)
PATIENCE = 20.0


def until(condition: Callable[[], object]) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE
        time.sleep(0.02)


class Shop:
    """The recipe, copied as its README says."""

    def __init__(self, folder: Path, queue: str) -> None:
        self.folder = Path(shutil.copytree(RECIPE, folder / "shop"))
        self.change('5672//"))', f'5672//"), "{queue}")')
        self.environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "BROKER_URL": rabbitmq_url(),
            "AFTERWORK_STORE": f"sqlite:///{folder}/afterwork.db",
        }

    def change(self, before: str, then: str) -> None:
        """Changes a place of its code."""
        main = self.folder / "main.py"
        text = main.read_text()
        assert text.count(before) == 1
        main.write_text(text.replace(before, then))

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
    queue = new_queue()
    try:
        yield Shop(tmp_path, queue)
    finally:
        drop_queues(CeleryEngine(rabbitmq_url(), queue))


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


def test_a_pool_process_that_is_killed_loses_no_call(shop: Shop, port: int, tmp_path: Path) -> None:
    """Celery makes another one within five seconds; the store's lease is over after two."""
    shop.change("store=", "lease=2, store=")
    log = tmp_path / "worker"
    with shop.worker(log) as worker:
        shop.order(port, "ada@example.org")
        until(lambda: b"opened" in log.read_bytes())
        for child in children(worker.pid):
            os.kill(child, signal.SIGKILL)
        killed = time.monotonic()
        until(lambda: b"receipt sent" in log.read_bytes())
        assert time.monotonic() - killed < 15
    text = log.read_text()
    assert "WorkerLostError" in text
    assert text.count("opened") == 2


def children(pid: int) -> list[int]:
    """The processes of a worker's pool."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_worker_without_its_jobs_does_not_start(shop: Shop, tmp_path: Path) -> None:
    shop.change("engine.worker(work, lifespan=shop)", "engine.app")
    log = tmp_path / "worker"
    with shop.process(COMMAND, log) as process:
        assert process.wait(PATIENCE) == 1
    assert "afterwork: this worker does not know the jobs" in log.read_text()
