"""What the engines on a database have in common: the worker, and limits on time."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from typing import Any

import pytest
from afterwork_integrations._engine_log import EngineLog
from afterwork_integrations._in_time import in_time, let_go
from afterwork_integrations._pull_worker import Delivery, PullWorker

from afterwork.engines import Envelope
from afterwork.errors import EngineError
from tests.integrations.engines.site import until

CALL = Envelope(id="1", job="note")


class Failing:
    """A source of one call, on a line that breaks at what is named in `breaks`."""

    def __init__(self, *breaks: str) -> None:
        self.breaks = set(breaks)
        self.calls = [CALL.to_json()]
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.breaks:
            raise EngineError("x", what, "the line is broken")

    async def start(self) -> None:
        self._ask("start")

    async def leave(self) -> None:
        self._ask("leave")

    async def take(self) -> Delivery | None:
        self._ask("take")
        await self.gate.wait()
        return Delivery(1, self.calls.pop(), 0) if self.calls else None

    async def due(self, most: float) -> float:
        self._ask("due")
        return most

    async def finish(self, delivery: Delivery) -> None:
        self._ask("finish")

    async def put_back(self, delivery: Delivery, following: Envelope | None) -> None:
        self._ask("put_back")
        self.calls.append(delivery.text)

    async def bury(self, delivery: Delivery) -> None:
        self._ask("bury")

    async def beat(self, deliveries: list[Delivery]) -> None:
        self._ask("beat")

    async def sweep(self) -> int:
        self._ask("sweep")
        return 0

    async def listen(self, news: Callable[[], None]) -> None:
        self._ask("listen")


class Job:
    """What runs a call: until `go_on`."""

    def __init__(self) -> None:
        self.seen: list[Envelope] = []
        self.go_on = asyncio.Event()

    async def run(self, envelope: Envelope) -> Envelope | None:
        self.seen.append(envelope)
        await self.go_on.wait()
        return None


def start(source: Any, job: Job) -> tuple[asyncio.Task[None], asyncio.Future[None]]:
    """A worker, and what stops it."""
    worker = PullWorker(source, job.run, EngineLog("x"), concurrency=1, poll=0.01, silent=0.04)
    stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    return asyncio.create_task(worker.work(stopping)), stopping


async def test_a_line_that_breaks_at_everything_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What became of a call is written once that is possible. It is said once."""
    source, job = Failing("take", "due", "finish", "beat", "sweep", "listen"), Job()
    source.calls.clear()
    task, stopping = start(source, job)
    await until(lambda: {"take", "due", "beat", "sweep", "listen"} <= set(source.asked))
    source.breaks.discard("take")
    source.calls.append(CALL.to_json())
    job.go_on.set()
    await until(lambda: source.asked.count("finish") >= 2)
    source.breaks.clear()
    await until(lambda: source.asked.count("finish") >= 3)
    stopping.set_result(None)
    await asyncio.wait_for(task, 10)
    assert source.asked[-1] == "leave"
    assert len([each for each in caplog.messages if "engine.unreachable" in each]) == 1


async def test_a_worker_that_cannot_say_goodbye_ends_all_the_same(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within its time, and it says so."""
    from afterwork_integrations import _pull_worker

    monkeypatch.setattr(_pull_worker, "LEAVE_SECONDS", 0.2)
    source, job = Failing("put_back"), Job()
    task, _ = start(source, job)
    await until(lambda: job.seen)
    task.cancel()
    await asyncio.wait({task}, timeout=10)
    assert task.cancelled()
    assert "engine.unreachable" in caplog.messages[-1]


async def test_a_call_that_is_taken_while_the_worker_is_cancelled_is_put_back() -> None:
    source, job = Failing(), Job()
    source.gate.clear()
    task, _ = start(source, job)
    await until(lambda: "take" in source.asked)
    task.cancel()
    await asyncio.sleep(0)
    source.gate.set()
    await asyncio.wait({task}, timeout=10)
    assert job.seen == []
    assert source.calls == [CALL.to_json()]


async def test_a_worker_takes_no_more_than_it_can_run() -> None:
    source, job = Failing(), Job()
    source.calls.append(CALL.to_json())
    task, stopping = start(source, job)
    await until(lambda: len(source.asked) > 20)
    assert len(job.seen) == 1
    stopping.set_result(None)
    job.go_on.set()
    await asyncio.wait_for(task, 10)
    assert source.calls == [CALL.to_json()]


async def test_what_takes_too_long_is_left_to_itself() -> None:
    """It may fail later; nobody is told."""

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            raise RuntimeError("late") from None

    with pytest.raises(TimeoutError, match="no answer within 0.01 s"):
        await in_time(stubborn(), 0.01)
    task = asyncio.create_task(asyncio.sleep(0))
    await task
    let_go(task)
    await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("name", "missing"), [("procrastinate", "procrastinate"), ("pgqueuer", "asyncpg")]
)
def test_without_its_library_it_names_the_extra(
    name: str, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = f"afterwork_integrations.{name}"
    for module in [each for each in sys.modules if each.split(".")[:2] == package.split(".")]:
        monkeypatch.delitem(sys.modules, module)
    for module in [each for each in sys.modules if each.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=rf"pip install 'afterwork\[{name}\]'"):
        importlib.import_module(package)
