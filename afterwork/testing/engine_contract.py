"""The rules that every engine keeps, as tests to run against yours.

```
# test_my_engine.py
from afterwork.testing.engine_contract import EngineContract

class TestMyEngine(EngineContract):
    def make_engine(self):              # on a new, empty queue each time
        return MyEngine(self.url(), queue=f"test-{uuid4()}")

    async def put_garbage(self, engine, text):      # optional: what is no envelope
        await engine.client.push(engine.queue, text)
        return True
```

Give the engine short settings: the tests wait for the delays and leases that it declares. What its
`capabilities` do not have is not tested, but that it is refused.

With a queue that several processes see, these too, in a class of their own. They kill workers, and
take as long as the engine needs to notice it:

```
def open_mine(queue):
    return MyEngine(URL, queue=queue)

class TestMyEngineInProcesses(SharedEngineContract):
    def opener(self):                   # how every process opens a new, empty queue
        return f"{__name__}:open_mine", f"test-{uuid4()}"
```

An engine in mode `push`, which calls the trigger route, takes `PushEngineContract` and defines
`serve`: it lets the queue call until `stop` is done.

The tests are coroutines and run under pytest-asyncio (`asyncio_mode = "auto"`) or any other plugin
that runs coroutine methods. Those of `tests/contracts/engine.py` are these.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from contextlib import ExitStack

from .._after import after
from ._engine_calls import CallTests
from ._engine_process import CONCURRENCY, LEASE, PROGRAM, App, WorkerProcess, notes
from ._engine_tests import EngineTests
from ._engine_worker import WorkerTests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["EngineContract", "PushEngineContract", "SharedEngineContract"]

KILLED_CALLS = 20
KILLED_SECONDS = 0.3
"""How long the longest of those lasts. They differ, so that some run at any moment."""
SHARED_CALLS = 60
SHARED_SECONDS = 0.02
UNDECLARED_RECOVERY_SECONDS = 5.0
"""How long a live call lasts in the tests of an engine that declares nothing."""


class EngineContract(CallTests, WorkerTests):
    """Subclass it as `Test...` and define `make_engine`."""


class PushEngineContract(CallTests):
    """Subclass it as `Test...` and define `make_engine` and `serve`."""

    async def test_it_calls_and_is_not_served(self) -> None:
        """Mode `push`."""
        async with self.site() as site:
            assert site.can.mode == "push"


class SharedEngineContract(EngineTests):
    """What several worker processes make of one queue. Subclass it as `Test...` and define
    `opener`."""

    def opener(self) -> tuple[str, str]:
        """How a process opens a new, empty queue: `"module:function"` and the text that the
        function is given. It is called once in each test."""
        raise TypeError(
            f"{type(self).__name__} has to define opener(), which returns 'module:function' and "
            "an argument"
        )

    def shared_store_url(self) -> str:
        """The URL of a new, empty store that all processes see. The default is a file."""
        return f"sqlite:///{self.folder}/afterwork.db"

    def worker_command(self, opener: tuple[str, str], store: str) -> Sequence[str]:
        """What starts a worker. It has to print `ready` once it serves. The default calls the
        engine's `serve`."""
        return [sys.executable, "-c", PROGRAM, *opener, store]

    async def test_a_killed_worker_loses_nothing(self) -> None:
        """SIGKILL in the middle: every call that was taken in is over in the end, within what the
        engine declares."""
        async with self.fleet() as fleet:
            for number in range(KILLED_CALLS):
                await fleet.call(number, KILLED_SECONDS * (1 + number % CONCURRENCY) / CONCURRENCY)
            with fleet.worker() as doomed:
                await doomed.ready()
                await fleet.until(
                    lambda: CONCURRENCY <= len(fleet.numbers("over")) < len(fleet.numbers("begun"))
                )
                doomed.kill()
            cut = set(fleet.numbers("begun")) - set(fleet.numbers("over"))
            assert cut, "it was killed while nothing ran; the test has to be run again"

            with fleet.worker() as heir:
                await heir.ready()
                declared = fleet.engine.capabilities.recovery_seconds
                most = self.patience if declared is None else declared + LEASE + self.late
                most += (KILLED_CALLS // CONCURRENCY + 1) * KILLED_SECONDS
                await fleet.until(lambda: len(set(fleet.numbers("over"))) == KILLED_CALLS, most)

            assert all(fleet.numbers("begun").count(number) == 2 for number in cut)

    async def test_two_workers_run_no_call_twice(self) -> None:
        """Neither at the same time nor one after the other, as long as none dies."""
        async with self.fleet() as fleet:
            with fleet.worker() as one, fleet.worker() as two:
                await one.ready()
                await two.ready()
                for number in range(SHARED_CALLS):
                    await fleet.call(number, SHARED_SECONDS)
                await fleet.until(lambda: len(set(fleet.numbers("over"))) == SHARED_CALLS)

            assert sorted(fleet.numbers("begun")) == list(range(SHARED_CALLS))

    async def test_a_long_call_that_lives_is_started_once(self) -> None:
        """Longer than it takes to notice a dead worker, with another worker waiting for it."""
        async with self.fleet() as fleet:
            declared = fleet.engine.capabilities.recovery_seconds
            seconds = 1.5 * (UNDECLARED_RECOVERY_SECONDS if declared is None else declared) + 1
            with fleet.worker() as one, fleet.worker() as two:
                await one.ready()
                await two.ready()
                await fleet.call(0, seconds)
                await fleet.until(lambda: fleet.numbers("over"), seconds + self.patience)

            assert [note["what"] for note in fleet.notes()] == ["begun", "over"]
            assert fleet.notes()[0]["attempt"] == 1

    def fleet(self) -> Fleet:
        """A queue, and the workers on it."""
        return Fleet(self)

    folder = ""
    """A folder for the files of a test."""


class Fleet:
    """One queue, a store that all see, and what their workers tell."""

    def __init__(self, tests: SharedEngineContract) -> None:
        self.tests = tests
        self._stack = ExitStack()

    async def __aenter__(self) -> Fleet:
        tests = self.tests
        tests.folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self.log = os.path.join(tests.folder, "log")
        self.store = tests.shared_store_url()
        self.opener = tests.opener()
        self.app = App(self.opener, self.store)
        self.engine = self.app.engine
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.tests.drop(self.engine)
        self.app.work.store.close()
        self._stack.close()

    def worker(self) -> WorkerProcess:
        """A worker process."""
        return WorkerProcess(self.tests.worker_command(self.opener, self.store))

    async def call(self, number: int, seconds: float) -> None:
        """A call of the job that takes so long."""
        await after.enqueue(self.app.nap, self.log, number, seconds)

    def notes(self) -> list[dict[str, Any]]:
        """What the runs told, in order."""
        return notes(self.log)

    def numbers(self, what: str) -> list[int]:
        """The numbers of the calls that told that."""
        return [note["number"] for note in self.notes() if note["what"] == what]

    async def until(self, condition: Callable[[], object], patience: float | None = None) -> None:
        """Waits for a condition."""
        seconds = self.tests.patience if patience is None else patience
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < seconds, f"not after {seconds:g} s: {self.notes()}"
            await asyncio.sleep(0.02)
