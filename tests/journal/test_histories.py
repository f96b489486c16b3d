"""Whatever happens in whatever order, no call is lost and none has two owners."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from afterwork import MemoryStore
from afterwork._group_commit import Write
from afterwork._journal_writes import Add, End, apply, fail
from afterwork._store import RunRecord
from afterwork.engines import Envelope
from tests.clock import HandClock
from tests.journal.support import calls, tables

OWNERS = ("a", "b", "c")
LEASE = 10.0
KEYS = (None, None, "k", "l")


@dataclass
class Known:
    """What the model knows of a call."""

    key: str | None
    state: str
    attempt: int = 1
    crashes: int = 0
    owner: str | None = None
    run_at: float = 0.0


def _write(call: Any) -> Write[Any]:
    return Write(call)


class Histories(RuleBasedStateMachine):
    """Processes that add, take, end, freeze and die, and a clock that moves."""

    @initialize()
    def begin(self) -> None:
        self.clock = HandClock()
        self.store = MemoryStore(clock=self.clock)
        self.model: dict[str, Known] = {}
        self.over: dict[str, str] = {}
        self.held: dict[str, list[Envelope]] = {owner: [] for owner in OWNERS}
        self.alive: dict[str, float] = {}
        self.count = 0

    def _active(self, key: str | None) -> str | None:
        found = (
            run_id
            for run_id, known in self.model.items()
            if key is not None and known.key == key and known.state != "failed"
        )
        return next(found, None)

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3),
        owner=st.sampled_from((None, *OWNERS)),
        delay=st.sampled_from((0, 0, 3)),
    )
    def add(self, keys: list[str | None], owner: str | None, delay: float) -> None:
        envelopes = []
        for key in keys:
            self.count += 1
            run_at = self.clock.now() + delay
            envelopes.append(Envelope(id=f"{self.count:04}", job="job", key=key, run_at=run_at))
        with tables(self.store) as rows:
            if owner is not None:
                rows.enter(owner, owner, LEASE)
                self.alive.setdefault(owner, self.clock.now() + LEASE)
            added = Add(envelopes, [owner] * len(envelopes))
            apply(rows, [added])
        for each, answer in zip(envelopes, added.answer, strict=True):
            assert answer == (self._active(each.key) or each.id)
            if answer == each.id:
                state = "waiting" if owner is None else "running"
                known = Known(each.key, state, owner=owner, run_at=self.clock.now() + delay)
                self.model[each.id] = known
                if owner is not None:
                    self.held[owner].append(each)

    @rule(owner=st.sampled_from(OWNERS), most=st.integers(1, 3))
    def take(self, owner: str, most: int) -> None:
        due = [
            run_id
            for run_id, known in self.model.items()
            if known.state == "waiting" and known.run_at <= self.clock.now()
        ]
        with tables(self.store) as rows:
            rows.enter(owner, owner, LEASE)
            self.alive.setdefault(owner, self.clock.now() + LEASE)
            taken = rows.take(owner, ["job"], {}, most)
        assert len(taken) == min(most, len(due))
        for each in taken:
            assert each.id in due
            known = self.model[each.id]
            assert (each.attempt, each.crashes, each.key) == (
                known.attempt,
                known.crashes,
                known.key,
            )
            known.state, known.owner = "running", owner
            self.held[owner].append(each)

    def _some(self, owner: str) -> tuple[Envelope, bool]:
        """One of the runs that this process believes to be its own, and whether it is."""
        envelope = self.held[owner].pop(0)
        known = self.model.get(envelope.id)
        mine = (
            known is not None
            and known.state == "running"
            and known.owner == owner
            and known.attempt == envelope.attempt
        )
        return envelope, mine

    @rule(owner=st.sampled_from(OWNERS), how=st.sampled_from(("end", "fail", "retry", "cut")))
    def end(self, owner: str, how: str) -> None:
        if not self.held[owner]:
            return
        envelope, mine = self._some(owner)
        state = "failed" if how == "fail" else "succeeded"
        record = RunRecord(id=envelope.id, job="job", trigger="after", state=state, worker=owner)
        following = envelope.again(self.clock.now() + 2, crashed=how == "cut")
        write: Write[Any] = _write(lambda rows: rows.give_back(envelope, owner, following, "E"))
        if how == "end":
            write = End(envelope, owner, record)
        elif how == "fail":
            write = _write(lambda rows: fail(rows, envelope, owner, record))
        with tables(self.store) as rows:
            apply(rows, [write])
        assert write.answer is mine
        if not mine:
            return
        known = self.model[envelope.id]
        if how == "end":
            self.over[envelope.id] = "succeeded"
            del self.model[envelope.id]
        elif how == "fail":
            known.state, known.owner, known.key = "failed", None, None
        else:
            known.state, known.owner, known.run_at = "waiting", None, following.run_at or 0
            known.attempt, known.crashes = following.attempt, following.crashes

    @rule(owner=st.sampled_from(OWNERS))
    def beat(self, owner: str) -> None:
        with tables(self.store) as rows:
            own = rows.beat(owner, owner, LEASE)
        self.alive[owner] = self.clock.now() + LEASE
        assert set(own) == {run_id for run_id, known in self.model.items() if known.owner == owner}

    @rule(owner=st.sampled_from(OWNERS))
    def die(self, owner: str) -> None:
        self.held[owner].clear()

    @rule(seconds=st.sampled_from((0.5, 3.0, LEASE)))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def take_over(self) -> None:
        now = self.clock.now()
        with tables(self.store) as rows:
            dead = rows.dead_owners()
            for owner in dead:
                rows.take_over(owner)
        assert set(dead) == {owner for owner, until in self.alive.items() if until <= now}
        for owner in dead:
            del self.alive[owner]
            for known in self.model.values():
                if known.owner == owner:
                    known.state, known.owner, known.run_at = "waiting", None, now
                    known.attempt, known.crashes = known.attempt + 1, known.crashes + 1

    @precondition(lambda self: self.model)
    @rule(data=st.data(), how=st.sampled_from(("withdraw", "revive", "bury")))
    def decide(self, data: st.DataObject, how: str) -> None:
        run_id = data.draw(st.sampled_from(sorted(self.model)))
        known = self.model[run_id]
        self.count += 1
        new = f"{self.count:04}"
        with tables(self.store) as rows:
            done = {
                "withdraw": lambda: rows.withdraw(run_id) is not None,
                "revive": lambda: rows.revive([run_id], lambda: new) == [new],
                "bury": lambda: rows.bury([run_id]) == 1,
            }[how]()
        assert done is (known.state == ("waiting" if how == "withdraw" else "failed"))
        if done:
            del self.model[run_id]
            self.over[run_id] = how
            if how == "revive":
                self.model[new] = Known(None, "waiting", run_at=self.clock.now())

    @invariant()
    def nothing_is_lost(self) -> None:
        there = calls(self.store)
        assert set(there) == set(self.model)
        for run_id, call in there.items():
            known = self.model[run_id]
            assert (call.state, call.owner) == (known.state, known.owner)
            assert (call.envelope.attempt, call.envelope.crashes) == (known.attempt, known.crashes)
            assert (call.owner is None) is (call.state != "running")
            assert call.envelope.key == known.key
            if call.owner is not None:  # or nobody would see that he has died
                assert call.owner in self.alive
        active = [each.envelope.key for each in there.values() if each.envelope.key is not None]
        assert len(active) == len(set(active))


TestHistories = Histories.TestCase
TestHistories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
