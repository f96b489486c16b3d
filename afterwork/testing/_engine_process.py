"""One worker process: its program, its jobs, and how to start it.

It is told on the command line how to open the engine and where the store is, says `ready` once it
serves, and goes on until it is killed or its input ends.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import time

from .._after import current_run
from .._afterwork import Afterwork

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO, Any

    from .._engine import Engine
    from .._job import Job

CONCURRENCY = 5
LEASE = 2.0
"""Seconds after which the store takes a run's process for dead: a part of the recovery."""
PROGRAM = f"import sys; from {__name__} import main; main(sys.argv[1:], sys.stdin, sys.stdout)"


class App:
    """The same app in every process: an engine, a store, and a job that takes a while."""

    def __init__(self, opener: tuple[str, str], store: str) -> None:
        self.work = Afterwork(engine=open_engine(*opener), store=store, lease=LEASE)
        self.nap: Job[[str, int, float], Any] = self.work.job(durable=True)(nap)

    @property
    def engine(self) -> Engine:
        """Bound to the app."""
        return self.work.engine


async def nap(log: str, number: int, seconds: float) -> None:
    """Sleeps, and tells the file `log` when it begins and when it is over."""
    note(log, number, "begun")
    await asyncio.sleep(seconds)
    note(log, number, "over")


def note(log: str, number: int, what: str) -> None:
    """One line of a log that several processes write."""
    line = {"number": number, "what": what, "attempt": current_run().attempt, "at": time.time()}
    with open(log, "a") as file:
        file.write(json.dumps(line) + "\n")  # one small write: no two lines mix


def notes(log: str) -> list[dict[str, Any]]:
    """What was told so far, in that order."""
    try:
        with open(log) as file:
            return [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []


def open_engine(opener: str, argument: str) -> Engine | None:
    """Calls the function that the opener names, `module:function`. It returns None where the engine
    is the store's own journal."""
    module, _, function = opener.partition(":")
    engine: Engine | None = getattr(importlib.import_module(module), function)(argument)
    return engine


class WorkerProcess:
    """A process that serves, in a group of its own. Leaving the `with` kills the group."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # It finds modules where this process does.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.process.communicate()

    def kill(self) -> None:
        """As SIGKILL does, with nothing tidied up and no child left."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    async def ready(self) -> None:
        """Waits until it serves."""
        assert self.process.stdout is not None
        line = await asyncio.to_thread(self.process.stdout.readline)
        assert line.strip() == "ready", f"the worker ended with {self.process.wait()}"


def main(arguments: list[str], told: IO[str], out: IO[str]) -> None:
    """`<module:function> <argument> <store>`: serves until `told` ends."""
    opener, argument, store = arguments
    asyncio.run(_serve(App((opener, argument), store), told, out))


async def _serve(app: App, told: IO[str], out: IO[str]) -> None:
    print("ready", file=out, flush=True)
    await app.engine.serve(concurrency=CONCURRENCY, stop=asyncio.to_thread(told.readline))
    await app.engine.close()
