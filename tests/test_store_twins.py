"""The stores of this machine give the same answers to the same calls, whatever the order."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from afterwork._store import CLAIMED, REOPENABLE, RunRecord, Store
from afterwork._store_memory import MemoryStore
from afterwork._store_sqlite import SQLiteStore
from tests.clock import HandClock

JOBS = st.sampled_from(["a", "b"])
KEYS = st.lists(st.sampled_from(["1", "2", "3"]), max_size=2)
LOCKS = st.sampled_from(["x", "y"])
NAMES = st.sampled_from(["k1", "k2", "k_", "k%", "K1"])
ENDS = st.sampled_from([*REOPENABLE, "succeeded", "skipped", "missed"])
SECONDS = st.sampled_from([1.0, 2.0, 10.0])
SLOTS = st.none() | st.integers(1, 4)


class Twins(RuleBasedStateMachine):
    """A store in memory and one in SQLite, with one clock."""

    run_ids = Bundle("run_ids")

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name) / "twin.db"
        self.stores: list[Store] = [
            MemoryStore(clock=self.clock),
            SQLiteStore(path, clock=self.clock),
        ]
        for store in self.stores:
            store.open()
        self.number = 0

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()

    def both(self, call: Callable[[Store], Any]) -> Any:
        one, two = (call(store) for store in self.stores)
        assert one == two
        return one

    @rule(
        target=run_ids,
        job=JOBS,
        keys=KEYS,
        slot=SLOTS,
        keep=SECONDS,
        ttl=SECONDS,
        reopen=st.booleans(),
        over=st.none() | ENDS,
        again=st.booleans(),
        attempt=st.integers(1, 3),
    )
    def claim(
        self,
        job: str,
        keys: list[str],
        slot: int | None,
        keep: float,
        ttl: float,
        reopen: bool,
        over: str | None,
        again: bool,
        attempt: int,
    ) -> str:
        self.number += 1
        run = RunRecord(
            id=f"{self.number:04}",
            job=job,
            trigger="manual",
            state=over or CLAIMED,
            slot=slot,
            attempt=attempt,
            worker=f"w{self.number}",
        )
        for _ in range(again):
            self.both(lambda s: s.claim(run, keys, keep=keep, ttl=ttl, reopen=reopen))
        answer = self.both(lambda s: s.claim(run, keys, keep=keep, ttl=ttl, reopen=reopen))
        found: str = answer.run.id
        return found

    @rule(run=run_ids, lock=st.none() | LOCKS, ttl=SECONDS)
    def acquire(self, run: str, lock: str | None, ttl: float) -> None:
        self.both(lambda s: s.acquire(run, lock, ttl=ttl))

    @rule(run=run_ids, lock=LOCKS)
    def wait(self, run: str, lock: str) -> None:
        self.both(lambda s: s.wait(run, lock))

    @rule(lock=LOCKS, reason=st.sampled_from(["r1", "r2"]))
    def stop(self, lock: str, reason: str) -> None:
        self.both(lambda s: s.stop(lock, reason))

    @rule(run=run_ids, ttl=SECONDS)
    def renew(self, run: str, ttl: float) -> None:
        self.both(lambda s: s.renew(run, ttl=ttl))

    @rule(run=run_ids, state=ENDS, attempt=st.integers(1, 4), error=st.none() | st.text(max_size=5))
    def finish(self, run: str, state: str, attempt: int, error: str | None) -> None:
        end = RunRecord(
            id=run,
            job="?",
            trigger="?",
            state=state,
            attempt=attempt,
            error=error,
            duration=0.1,
            reason=error,
        )
        self.both(lambda s: s.finish(end))

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def reap(self) -> None:
        self.both(lambda s: s.reap())

    @rule(
        job=st.none() | JOBS,
        state=st.none() | ENDS,
        before=st.none() | run_ids,
        limit=st.integers(-1, 3),
    )
    def runs(self, job: str | None, state: str | None, before: str | None, limit: int) -> None:
        self.both(lambda s: s.runs(job=job, state=state, before=before, limit=limit))

    @rule(age=st.sampled_from([0.0, 1.0, 5.0, 100.0]), keep=st.integers(0, 3))
    def prune(self, age: float, keep: int) -> None:
        self.both(lambda s: s.prune(age=age, keep=keep))

    @rule(jobs=st.lists(JOBS))
    def register(self, jobs: list[str]) -> None:
        self.both(lambda s: s.register(jobs))

    @rule(job=JOBS, seconds=st.none() | SECONDS, note=st.none() | st.just("n"))
    def pause(self, job: str, seconds: float | None, note: str | None) -> None:
        self.both(lambda s: s.pause(job, seconds=seconds, note=note))

    @rule(job=JOBS)
    def resume(self, job: str) -> None:
        self.both(lambda s: s.resume(job))

    @rule(key=NAMES, value=st.text("ab", max_size=1), ttl=st.none() | SECONDS, add=st.booleans())
    def put(self, key: str, value: str, ttl: float | None, add: bool) -> None:
        self.both(lambda s: (s.add if add else s.put)(key, value, ttl=ttl))

    @rule(key=NAMES)
    def delete(self, key: str) -> None:
        self.both(lambda s: s.delete(key))

    @rule(prefix=st.sampled_from(["", "k", "k_", "k%"]))
    def notes(self, prefix: str) -> None:
        found = self.both(lambda s: s.notes(prefix))
        assert {key: self.got(key) for key in found} == found

    def got(self, key: str) -> Any:
        return self.both(lambda s: s.get(key))

    @invariant()
    def they_hold_the_same(self) -> None:
        self.both(lambda s: s.runs(limit=1000))
        self.both(lambda s: s.jobs())


TestTwins = Twins.TestCase
TestTwins.settings = settings(max_examples=60, stateful_step_count=40)
