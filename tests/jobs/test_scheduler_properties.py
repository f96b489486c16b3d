"""Any history of a scheduler: clocks that go and jump, restarts, replicas, pauses.

Whatever happens, no slot runs twice, and none is lost without a word: each slot between the job's
registration and the end ran, or has a record that says why not, or was dropped, which is said with
its number. Groups F and O of the cases.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterwork import Afterwork, MemoryStore, current_run
from afterwork._loop import current_loop
from afterwork.testing import FakeClock, drain
from tests.jobs.support import NOON, new_work, until
from tests.support import answering, lifespan

if TYPE_CHECKING:
    import pytest

Misfire: TypeAlias = Literal["once", "skip", "all"]
Step: TypeAlias = tuple[str, int]

MINUTE = 60
REPLICAS = 2

numbers = st.integers(0, REPLICAS - 1)
steps = st.one_of(
    st.tuples(st.just("elapse"), st.integers(1, 10 * MINUTE)),
    st.tuples(st.just("advance"), st.integers(1, 5 * MINUTE)),
    st.tuples(st.just("advance"), st.integers(1, 150 * MINUTE)),
    # A clock is not set back by as much as a claim is kept, which is a day at least.
    st.tuples(st.just("jump"), st.integers(-5 * MINUTE, 5 * MINUTE)),
    st.tuples(st.just("jump"), st.integers(-120 * MINUTE, 120 * MINUTE)),
    st.tuples(st.just("start"), numbers),
    st.tuples(st.just("stop"), numbers),
    st.tuples(st.just("pause"), st.just(0)),
    st.tuples(st.just("resume"), st.just(0)),
)
histories = st.lists(steps, min_size=1, max_size=12)


class History:
    """Replicas of one app with one job that is due each minute, and which of its slots ran."""

    def __init__(self, misfire: Misfire, jitter: int) -> None:
        self.clock = FakeClock(NOON)
        self.store = MemoryStore(clock=self.clock)
        self.misfire: Misfire = misfire
        self.jitter = jitter
        self.ran: list[int] = []
        self.replicas: list[AsyncExitStack | None] = [None] * REPLICAS

    def app(self) -> Afterwork:
        work = new_work(store=self.store, clock=self.clock)

        # Runs may overlap, so that nothing is skipped but for the pause.
        @work.every("1m", name="job", misfire=self.misfire, jitter=self.jitter, overlap="allow")
        async def job() -> None:
            slot = current_run().scheduled_for
            assert slot is not None
            self.ran.append(int(slot.timestamp()))

        return work

    async def start(self, number: int) -> None:
        if self.replicas[number] is None:
            stack = self.replicas[number] = AsyncExitStack()
            slept = self.clock._slept
            await stack.enter_async_context(lifespan(self.app().wrap(answering(lambda: None))))
            await until(lambda: self.clock._slept > slept)

    async def stop(self, number: int) -> None:
        stack, self.replicas[number] = self.replicas[number], None
        if stack is not None:
            await stack.aclose()

    async def take(self, kind: str, value: int) -> None:
        if kind == "start":
            await self.start(value)
        elif kind == "stop":
            await self.stop(value)
        elif kind == "pause":
            self.store.pause("job")
        elif kind == "resume":
            self.store.resume("job")
        elif kind == "elapse":
            await self.clock.elapse(value)
        elif kind == "advance":
            self.clock.advance(value)
        else:
            self.clock.jump(value)
        await self.settle()

    async def settle(self) -> None:
        """Waits until all runs are over and nobody is left but schedulers that sleep."""
        loop: Any = current_loop()
        running = sum(replica is not None for replica in self.replicas)
        await until(lambda: self.asleep() == running == len(loop.handles))
        await drain()

    def asleep(self) -> int:
        """How many schedulers sleep and have not been woken."""
        signals: list[Any] = [woken for _, _, woken in self.clock._sleepers]
        return sum(not woken.future.done() for woken in signals)

    async def finish(self) -> None:
        """A scheduler catches up, and works for some minutes; then all stop."""
        await self.start(0)
        await self.settle()
        await self.clock.elapse(3 * MINUTE)
        await self.settle()
        for number in range(REPLICAS):
            await self.stop(number)

    def unexplained(self) -> set[int]:
        """The slots that neither ran nor have a record."""
        first = self.store.jobs()["job"].registered_at
        # The last one's jitter may not have been over.
        slots = range(_next(first), int(self.clock.now()) - self.jitter, MINUTE)
        recorded = {run.slot for run in self.store.runs(job="job", limit=100_000)}
        return set(slots) - recorded


def _next(moment: float) -> int:
    return int(moment // MINUTE + 1) * MINUTE


def _dropped(caplog: pytest.LogCaptureFixture) -> int:
    records: list[Any] = [
        r for r in caplog.records if getattr(r, "event", "") == "schedule.dropped"
    ]
    return sum(record.afterwork["slots"] for record in records)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    history=histories, misfire=st.sampled_from(["once", "skip", "all"]), jitter=st.integers(0, 50)
)
async def test_no_slot_runs_twice_and_none_is_lost_without_a_word(
    history: list[Step], misfire: Misfire, jitter: int, caplog: pytest.LogCaptureFixture
) -> None:
    """F2, F3, F4, F5, F9, O2, O3"""
    caplog.clear()
    app = History(misfire, jitter)
    await app.start(0)
    for kind, value in history:
        await app.take(kind, value)
    await app.finish()

    assert len(app.ran) == len(set(app.ran))
    assert len(app.unexplained()) <= _dropped(caplog)
    first = app.store.jobs()["job"].registered_at
    if all(kind != "jump" for kind, _ in history):
        assert all(slot > first for slot in app.ran)
        if misfire == "all" or jitter == 0:
            assert app.ran == sorted(app.ran)
