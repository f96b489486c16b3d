"""Whatever happens to workers, engine and store: a call is never lost, never runs twice at once,
its attempts grow, and its success is final."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from afterwork import Retry, current_run
from afterwork._closing import cut
from afterwork.engines import Envelope
from afterwork.errors import PermanentFailure
from afterwork.testing import FakeClock
from tests.durable_unit.support import Flaky, deliveries, new_work
from tests.support import until

STEPS = st.sampled_from(
    [
        ("deliver", "succeed"),
        ("deliver", "fail"),
        ("deliver", "fail"),
        ("deliver", "permanent"),
        # The worker dies: in the middle, and is found dead or not, or before the engine took what
        # follows, or after that but before it forgot the first.
        ("die", "in the middle"),
        ("die", "long ago"),
        ("die", "long ago"),
        ("die", "before"),
        ("die", "before"),
        ("die", "after"),
        ("begin", ""),
        ("end", "succeed"),
        ("end", "fail"),
        ("cut", ""),
        ("double", ""),
        ("pass", "11"),
        ("pass", "61"),
        ("break", "keep a note"),
        ("break", "claim a run"),
        ("break", "start a run"),
        ("break", "write the end of a run"),
        ("break", "read a note"),
    ]
)


class Brittle(Flaky):
    """A store of which the next step of that name fails."""

    def _step(self, doing: str, *, writes: bool = True) -> Any:
        if doing in self.down:
            self.down.remove(doing)
            self.down.add("all")
            try:
                return super()._step(doing, writes=writes)
            finally:
                self.down.remove("all")
        return super()._step(doing, writes=writes)


class NoKeeper:
    """Time stands still, so leases are renewed by hand."""

    def hold(self, renew: Any) -> None: ...

    def drop(self, renew: Any) -> None: ...


class History:
    """An engine's queue with one call in it, and the workers it had."""

    def __init__(self, attempts: int) -> None:
        self.clock = FakeClock()
        self.store = Brittle(clock=self.clock)
        self.store.blocks = False
        self.retry = Retry(attempts, delay=10, backoff="fixed", jitter=False)
        self.queue = [Envelope(id="call", job="job", enqueued_at=self.clock.now())]
        self.does = "succeed"
        self.alive: dict[int, asyncio.Event] = {}
        self.begun: list[int] = []
        self.succeeded = False
        self.workers: list[Any] = []
        self.open: tuple[int, asyncio.Task[Envelope | None], Envelope, Any] | None = None

    async def job(self) -> None:
        number = current_run().attempt
        assert not self.alive, "two runs at once"
        assert not self.succeeded, "a run after the success"
        assert not self.begun or number > self.begun[-1], "attempts do not grow"
        self.begun.append(number)
        let_go = self.alive[number] = asyncio.Event()
        if self.does == "hang":
            await let_go.wait()
        self.alive.pop(number, None)
        if self.does == "fail":
            raise ValueError("no")
        if self.does == "permanent":
            raise PermanentFailure("never")
        self.succeeded = True

    def worker(self) -> Any:
        work = new_work(clock=self.clock, store=self.store)
        work.job(name="job", durable=True, retry=self.retry)(self.job)
        dispatch: Any = work.dispatch
        dispatch._keeper = NoKeeper()
        self.workers.append(work)
        return work

    async def step(self, step: str, how: str) -> None:
        if step == "pass":
            self.clock.advance(float(how))
            if self.open is not None:
                for ticket in list(self.open[3].dispatch._kept):
                    ticket.renew()
        elif step == "double" and self.queue:
            self.queue.append(self.queue[-1])
        elif step == "break":
            self.store.down.add(how)
        elif step == "deliver" and self.queue:
            await self.deliver(how)
        elif step == "die" and self.queue:
            await self.die(how)
        elif step == "begin" and self.queue and self.open is None:
            await self.begin()
        elif step in ("end", "cut") and self.open is not None:
            await self.end(how, is_cut=step == "cut")

    async def deliver(self, how: str) -> None:
        self.does = how
        envelope = self.queue.pop(0)
        following = await deliveries(self.worker()).run(envelope)
        self.put(following)

    def put(self, following: Envelope | None) -> None:
        if following is not None:
            self.queue.append(Envelope.from_json(following.to_json()))

    async def die(self, how: str) -> None:
        envelope = self.queue.pop(0)
        if how in ("in the middle", "long ago"):
            self.does = "hang"
            before = len(self.begun)
            task = asyncio.create_task(deliveries(self.worker()).run(envelope))
            await until(lambda: task.done() or len(self.begun) > before)
            if not task.done():
                self.alive.pop(self.begun[-1])
            if how == "long ago":
                await self.step("pass", "61")
        else:
            self.does = "fail"
            following = await deliveries(self.worker()).run(envelope)
            if how == "after":
                self.put(following)
        self.queue.append(envelope)  # nobody acknowledged it

    async def begin(self) -> None:
        self.does = "hang"
        envelope, worker, before = self.queue.pop(0), self.worker(), len(self.begun)
        task = asyncio.create_task(deliveries(worker).run(envelope))
        await until(lambda: task.done() or len(self.begun) > before)
        if task.done():
            self.put(task.result())
        else:
            self.open = (self.begun[-1], task, envelope, worker)

    async def end(self, how: str, *, is_cut: bool = False) -> None:
        assert self.open is not None
        number, task, _, worker = self.open
        self.open = None
        if is_cut:
            self.alive.pop(number)
            for queue in list(worker.pipeline.queues):
                cut(worker.pipeline, queue, "shutdown")
        else:
            self.does = how
            self.alive[number].set()
        self.put(await task)

    async def play(self, steps: list[tuple[str, str]]) -> None:
        for step, how in steps:
            await self.step(step, how)
        self.store.down.clear()
        await self.step("end", "fail")
        for _ in range(100):
            if not self.queue:
                break
            self.clock.advance(61)
            await self.deliver("succeed")
        assert not self.queue, "it goes round for ever"
        record = self.store.run("call")
        letter = self.store.get("dead:call")
        if not self.succeeded:
            assert letter is not None, f"lost: {record}"
            assert record is not None
            assert str(record.state) == "failed"
        else:
            assert record is not None
            assert str(record.state) == "succeeded"


@settings(max_examples=600)
@given(st.integers(1, 5), st.lists(STEPS, min_size=2, max_size=14))
def test_any_history_ends_well(attempts: int, steps: list[tuple[str, str]]) -> None:
    asyncio.run(History(attempts).play(steps))
