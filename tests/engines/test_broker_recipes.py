"""Recipes for engines on a broker, started with the commands of their READMEs."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

from afterwork import SQLiteStore
from tests.integrations.engines.rabbitmq import forget, new_queue
from tests.integrations.engines.test_docket import forget as forget_docket
from tests.services import rabbitmq_url, redis_url

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "integrations" / "recipes"
PATIENCE = 30.0
ORDERS = 6


@dataclass(frozen=True)
class Recipe:
    """`environ`: where the broker is; `forget`: takes the queue away again."""

    name: str
    environ: Callable[[], Mapping[str, str]]
    forget: Callable[[str], None]

    def commands(self) -> list[str]:
        """The lines of the README's first block."""
        text = (RECIPES / self.name / "README.md").read_text()
        block = re.search(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        assert block is not None
        return block[1].splitlines()

    def command(self, program: str, **changes: str) -> list[str]:
        """The one that starts a program."""
        (line,) = [line for line in self.commands() if line.startswith(f"{program} ")]
        words = shlex.split(line)
        for option, value in changes.items():
            words[words.index(f"--{option}") + 1] = value
        return words


TASKIQ = Recipe(
    "taskiq",
    lambda: {"RABBITMQ_URL": rabbitmq_url()},
    lambda queue: asyncio.run(forget(queue)),
)
DOCKET = Recipe("docket", lambda: {"REDIS_URL": redis_url()}, forget_docket)


@contextmanager
def running(command: list[str], folder: Path, environ: Mapping[str, str]) -> Iterator[Program]:
    program = Program(command, folder, environ)
    try:
        yield program
    finally:
        program.end(signal.SIGKILL)


class Program:
    """A process in a group of its own."""

    def __init__(self, command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
        bin_folder = str(Path(sys.executable).parent)
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={
                **os.environ,
                "PATH": os.pathsep.join((bin_folder, os.environ["PATH"])),
                "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "integrations"))),
                **environ,
            },
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self, number: signal.Signals) -> int:
        """Sends a signal to the group and waits for its end."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass
        return self.process.wait(PATIENCE)


def until(condition: Callable[[], object], what: str) -> None:
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE, f"waited {PATIENCE} s for {what}"
        time.sleep(0.02)


def ordered(port: int, email: str) -> bool:
    url = f"http://127.0.0.1:{port}/orders?email={email}"
    try:
        with urlopen(Request(url, method="POST"), timeout=PATIENCE) as answer:
            return bool(answer.status == 202)
    except URLError:
        return False


@pytest.mark.parametrize("recipe", [DOCKET, TASKIQ], ids=lambda recipe: recipe.name)
def test_what_a_recipe_accepts_is_done_whatever_is_killed(
    recipe: Recipe, tmp_path: Path, unused_tcp_port: int
) -> None:
    """The web process after its answers, and a worker in the middle of its work; the next worker
    ends with 0 when it is told to stop."""
    folder = tmp_path / "shop"
    shutil.copytree(RECIPES / recipe.name, folder)
    queue = new_queue()
    environ = {
        **recipe.environ(),
        "QUEUE": queue,
        "AFTERWORK_STORE": f"sqlite:///{tmp_path}/shop.db",
    }
    store = SQLiteStore(str(tmp_path / "shop.db"))
    worker = recipe.command("afterwork", concurrency="2")
    with ExitStack() as stack:
        stack.callback(recipe.forget, queue)
        stack.callback(store.close)
        with running(recipe.command("uvicorn", port=str(unused_tcp_port)), folder, environ) as web:
            until(lambda: ordered(unused_tcp_port, "first@example.org"), "the web process")
            for number in range(ORDERS - 1):
                assert ordered(unused_tcp_port, f"{number}@example.org")
            web.end(signal.SIGKILL)
        store.open()

        def done() -> int:
            return len(store.runs(state="succeeded"))

        with running(worker, folder, environ) as doomed:
            until(lambda: done() and store.runs(state="running"), "a receipt, and one under way")
            doomed.end(signal.SIGKILL)
        assert done() < ORDERS
        with running(worker, folder, environ) as heir:
            until(lambda: done() == ORDERS, "all receipts")
            assert heir.end(signal.SIGTERM) == 0
