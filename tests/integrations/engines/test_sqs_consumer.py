"""The worker on SQS, with a queue that does what a test tells it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from afterwork_integrations._engine_log import EngineLog
from afterwork_integrations.sqs import _consumer
from afterwork_integrations.sqs._consumer import Consumer
from afterwork_integrations.sqs._queue import Lost, Message

from afterwork.errors import EngineError
from tests.support import until


def message(number: int) -> Message:
    return Message(f"m{number}", "body", f"r{number}", 1)


class FakeQueue:
    """`polls` are what polls bring, one by one: messages, or an error."""

    def __init__(self, *polls: Any) -> None:
        self.polls = [*polls]
        self.settings: Any = {}
        self.asked: list[int] = []
        self.deleted: list[str] = []
        self.hidden: list[tuple[list[str], int]] = []
        self.errors: dict[str, EngineError] = {}
        self.more = asyncio.Event()
        self.hangs = False

    def _fail(self, what: str) -> None:
        if what in self.errors:
            raise self.errors[what]

    async def attributes(self) -> dict[str, str]:
        self._fail("attributes")
        found: dict[str, str] = self.settings
        return found

    async def receive(self, most: int, visibility: int) -> list[Message]:
        self.asked.append(most)
        while not self.polls:
            await self.more.wait()
            self.more.clear()
        found = self.polls.pop(0)
        if isinstance(found, EngineError):
            raise found
        messages: list[Message] = found
        return messages

    async def delete(self, message: Message) -> None:
        self._fail("delete")
        self.deleted.append(message.id)

    async def hide(self, messages: list[Message], seconds: int) -> int:
        if self.hangs:
            await asyncio.Event().wait()
        self._fail("hide")
        if messages:
            self.hidden.append(([each.id for each in messages], seconds))
        return 0

    def error(self, doing: str, problem: str, hint: str) -> EngineError:
        return EngineError("fake", doing, problem, hint)


class Worker:
    """A consumer that serves. Messages run until `go` is set."""

    def __init__(self, queue: FakeQueue, concurrency: int = 2, visibility: float = 60) -> None:
        self.queue = queue
        self.begun: list[str] = []
        self.go = asyncio.Event()
        self.over = True
        self.stop = asyncio.Event()
        anything: Any = queue
        length: Any = visibility
        self.consumer = Consumer(anything, self.settle, length, concurrency, EngineLog("fake"))
        self.task = asyncio.create_task(self.consumer.serve(self.stop.wait()))

    async def settle(self, message: Message) -> bool:
        self.begun.append(message.id)
        await self.go.wait()
        return self.over

    async def end(self) -> None:
        self.stop.set()
        self.queue.polls.append([])
        self.queue.more.set()
        await self.task


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_consumer, "FIRST_PAUSE_SECONDS", 0.001)


async def test_no_more_are_taken_out_than_may_start() -> None:
    """And none while all places are taken."""
    queue = FakeQueue([message(1)], [message(2)])
    worker = Worker(queue)
    await until(lambda: worker.begun == ["m1", "m2"])
    assert queue.asked == [2, 1]
    worker.go.set()
    await until(lambda: len(queue.asked) == 3)
    assert queue.asked[2] in (1, 2)
    await worker.end()
    assert sorted(queue.deleted) == ["m1", "m2"]
    assert queue.hidden == []


async def test_what_runs_is_prolonged_three_times_in_its_time() -> None:
    queue = FakeQueue([message(1), message(2)])
    worker = Worker(queue, visibility=0.06)
    await until(lambda: len(queue.hidden) >= 3)
    assert {tuple(sorted(ids)) for ids, _ in queue.hidden} == {("m1", "m2")}
    assert {seconds for _, seconds in queue.hidden} == {0.06}
    worker.go.set()
    await worker.end()


async def test_what_is_taken_out_while_it_is_told_to_stop_is_given_back() -> None:
    """It has not started, and never does."""
    queue = FakeQueue()
    worker = Worker(queue)
    await until(lambda: queue.asked)
    worker.stop.set()
    await asyncio.sleep(0)
    queue.polls.append([message(1)])
    queue.more.set()
    await worker.task
    assert worker.begun == []
    assert queue.hidden == [(["m1"], 0)]


async def test_who_is_cancelled_gives_back_what_runs_and_what_the_poll_brings() -> None:
    queue = FakeQueue([message(1)])
    worker = Worker(queue)
    await until(lambda: worker.begun and len(queue.asked) == 2)
    worker.task.cancel()
    await asyncio.sleep(0.01)
    assert not worker.task.done(), "the poll is under way"
    queue.polls.append([message(2)])
    queue.more.set()
    with pytest.raises(asyncio.CancelledError):
        await worker.task
    assert queue.hidden == [(["m2", "m1"], 0)]
    assert queue.deleted == []


async def test_a_queue_that_does_not_take_them_back_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_consumer, "LAST_WORDS_SECONDS", 0.05)
    queue = FakeQueue([message(1)])
    worker = Worker(queue, 1)
    await until(lambda: worker.begun)
    queue.hangs = True
    worker.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker.task


async def test_a_queue_that_cannot_be_reached_is_tried_again_and_said_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lost = Lost("fake", "take calls out", "ConnectionError")
    queue = FakeQueue(lost, lost, lost, [message(1)])
    queue.errors["attributes"] = lost
    worker = Worker(queue)
    await asyncio.sleep(0.02)
    del queue.errors["attributes"]
    await until(lambda: worker.begun)
    worker.go.set()
    await worker.end()
    lines = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    (line,) = lines
    problem = "problem='the engine fake could not take calls out: ConnectionError.'"
    assert line == f"engine.lost engine='fake' {problem}"


async def test_a_pause_ends_when_it_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_consumer, "FIRST_PAUSE_SECONDS", 60.0)
    worker = Worker(FakeQueue(Lost("fake", "take calls out", "ConnectionError")))
    await until(lambda: not worker.queue.polls)
    worker.stop.set()
    await asyncio.wait_for(worker.task, 2)


async def test_a_poll_that_is_refused_ends_it() -> None:
    worker = Worker(FakeQueue(EngineError("fake", "take calls out", "AccessDenied")))
    with pytest.raises(EngineError, match="AccessDenied"):
        await worker.task


async def test_who_may_not_read_the_settings_serves_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    queue = FakeQueue([message(1)])
    queue.errors["attributes"] = EngineError("fake", "read its settings", "AccessDenied: no")
    worker = Worker(queue)
    worker.go.set()
    await until(lambda: queue.deleted)
    await worker.end()
    assert "engine.unchecked" in caplog.text


async def test_other_errors_of_the_settings_end_it() -> None:
    queue = FakeQueue()
    queue.errors["attributes"] = EngineError("fake", "read its settings", "NonExistentQueue")
    with pytest.raises(EngineError, match="NonExistentQueue"):
        await Worker(queue).task


async def test_what_is_not_over_is_not_deleted() -> None:
    queue = FakeQueue([message(1)])
    worker = Worker(queue)
    worker.over = False
    worker.go.set()
    await until(lambda: worker.begun)
    await worker.end()
    assert queue.deleted == []


async def test_a_message_that_cannot_be_deleted_or_prolonged_stops_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It comes again, and is seen to have run."""
    queue = FakeQueue([message(1)], [message(2)])
    queue.errors["delete"] = queue.errors["hide"] = Lost("fake", "forget a call", "Timeout")
    worker = Worker(queue, visibility=0.03)
    await until(lambda: "engine.lost" in caplog.text)
    worker.go.set()
    await until(lambda: "engine.not_deleted" in caplog.text)
    await worker.end()
    assert sorted(worker.begun) == ["m1", "m2"]


async def test_a_future_of_yours_is_not_cancelled() -> None:
    stop = asyncio.get_running_loop().create_future()
    queue: Any = FakeQueue([])
    worker = Consumer(queue, lambda message: asyncio.sleep(0, True), 60, 1, EngineLog("fake"))
    serving = asyncio.create_task(worker.serve(stop))
    await until(lambda: len(queue.asked) == 2)
    serving.cancel()
    queue.polls.append([])
    queue.more.set()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not stop.done()
