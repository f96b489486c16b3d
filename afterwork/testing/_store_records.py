"""The rules of what is kept: ends and counts, pages and pruning."""

from __future__ import annotations

from .._store import DIED, MAX_ERROR_LENGTH
from ._store_tests import (
    LONG,
    MEDIUM,
    SHORT,
    StoreTests,
    claim,
    claimed,
    end,
    ended,
    holding,
    ids,
    record,
    seen,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._store import Store


class RunTests(StoreTests):
    """Part of `StoreContract`."""

    def test_an_end_is_written_once(self) -> None:
        store = self.opened()
        run = holding(store, "a", slot=60, delivery="d")
        before = store.now()
        assert end(store, run, "failed", attempt=3, duration=1.5, reason="R", error="E: e")
        found = seen(store, run)
        assert found.ended_at is not None
        assert before <= found.ended_at <= store.now()
        assert (found.state, found.attempt, found.duration) == ("failed", 3, 1.5)
        assert (found.reason, found.error, found.alive_until) == ("R", "E: e", None)
        assert (found.slot, found.delivery, found.worker) == (60, "d", "w1")

        assert not end(store, run, "succeeded", attempt=3)
        assert seen(store, run) == found
        assert store.jobs()["job"].counts == {"failed": 1}
        assert not end(store, ids(1)[0]), "nobody has heard of that one"

    def test_ends_are_counted_and_failures_in_a_row_too(self) -> None:
        store = self.opened()
        ends = "failed", "timed_out", "cancelled", "skipped", "missed", "abandoned"
        for outcome, in_a_row in zip(ends, (1, 2, 2, 2, 2, 3), strict=True):
            ended(store, outcome)
            assert store.jobs()["job"].failures_in_a_row == in_a_row
        assert store.jobs()["job"].last_success_at is None

        succeeded = seen(store, ended(store))
        ended(store, "failed", "other")
        state = store.jobs()["job"]
        assert state.failures_in_a_row == 0
        assert state.last_success_at == succeeded.ended_at
        ended(store, "failed")
        ended(store, "failed")
        state = store.jobs()["job"]
        assert state.failures_in_a_row == 2
        assert state.last_success_at == succeeded.ended_at
        counts = {**dict.fromkeys(ends, 1), "failed": 3, "succeeded": 1}
        assert state.counts == counts

    def test_the_last_run_is_the_one_that_ended_last(self) -> None:
        """Whatever its id; skipped and missed ones do not count, nor one that is not over."""
        store = self.opened()
        later, earlier = (claimed(store, id=name) for name in reversed(ids(2)))
        end(store, later)
        end(store, earlier, "failed", error="E")
        for state in ("skipped", "missed"):
            ended(store, state)
        claimed(store)
        last = store.jobs()["job"].last_run
        assert last == store.run(earlier)

    def test_an_error_is_cut_and_no_character_in_it_hinders(self) -> None:
        store = self.opened()
        run = claimed(store)
        assert end(store, run, "failed", error="E\0\ud800 '\"\\%é😀" + "x" * MAX_ERROR_LENGTH)
        error = seen(store, run).error
        assert error is not None
        assert len(error) == MAX_ERROR_LENGTH
        assert error.startswith("E\ufffd\ufffd '\"\\%é😀x")
        over = claim(store, record(state="failed", error="\0" * (MAX_ERROR_LENGTH + 1))).run
        assert over.error == "\ufffd" * MAX_ERROR_LENGTH

    def test_reaping_marks_the_dead_and_frees_what_they_held(self) -> None:
        """O5: also where nobody asks for their lock."""
        store = self.opened()
        alive = holding(store, "b")
        assert store.reap() == []
        holder, waiting = holding(store, "a", ttl=MEDIUM), claimed(store, ttl=MEDIUM, slot=9)
        assert store.wait(waiting, "a")
        ended(store, ttl=SHORT)
        self.advance(store, MEDIUM + SHORT)

        reaped = store.reap()
        assert {run.id for run in reaped} == {holder, waiting}
        assert all(run == store.run(run.id) for run in reaped)
        assert {(run.state, run.reason) for run in reaped} == {("abandoned", DIED)}
        assert store.reap() == []
        assert store.jobs()["job"].counts == {"abandoned": 2, "succeeded": 1}
        assert store.acquire(claimed(store), "a", ttl=LONG).mine
        assert seen(store, alive).state == "running"

    def test_runs_come_newest_first_and_in_pages(self) -> None:
        store = self.opened()
        names = ids(7)
        for name in (names[3], names[0], names[6], names[1], names[5], names[2], names[4]):
            claimed(store, id=name)
        newest = names[::-1]
        assert [run.id for run in store.runs()] == newest
        pages, before = [], None
        while page := store.runs(before=before, limit=3):
            pages.append([run.id for run in page])
            before = page[-1].id
        assert pages == [newest[:3], newest[3:6], newest[6:]]
        assert store.runs(limit=0) == []
        assert store.runs()[0] == store.run(newest[0])
        assert store.run(ids(1)[0]) is None

    def test_runs_are_filtered_by_job_and_state(self) -> None:
        store = self.opened()
        names = ids(6)
        for number, name in enumerate(names):
            claimed(store, "ab"[number % 2], id=name)
            if number < 3:
                end(store, name, "failed")
        found = [run.id for run in store.runs(job="a")]
        assert found == [names[4], names[2], names[0]]
        assert [run.id for run in store.runs(job="a", before=names[4], limit=1)] == [names[2]]
        assert [run.id for run in store.runs(state="failed")] == names[2::-1]
        assert [run.id for run in store.runs(job="b", state="claimed")] == [names[5], names[3]]
        assert store.runs(job="b", state="failed", before=names[1]) == []
        assert store.runs(job="c") == []


class PruneTests(StoreTests):
    """Part of `StoreContract`."""

    def pruned(self, store: Store, *, age: float, keep: int) -> int:
        """Prunes until nothing is left to delete."""
        total = 0
        while deleted := store.prune(age=age, keep=keep):
            total += deleted
        return total

    def test_pruning_by_age(self) -> None:
        store = self.opened()
        old, live = ended(store), claimed(store)
        self.advance(store, MEDIUM + SHORT)
        young = ended(store)
        assert self.pruned(store, age=LONG, keep=10) == 0
        assert self.pruned(store, age=MEDIUM, keep=10) == 1
        assert store.run(old) is None
        assert {run.id for run in store.runs()} == {live, young}

    def test_pruning_keeps_the_newest_of_each_job(self) -> None:
        store = self.opened()
        names = ids(6)
        for name in (names[5], *names[:5]):
            ended(store, id=name)
        others = [ended(store, job="other"), claimed(store)]
        assert self.pruned(store, age=LONG, keep=2) == 4
        assert {run.id for run in store.runs()} == {*names[4:], *others}
        assert self.pruned(store, age=LONG, keep=0) == 3
        assert [run.id for run in store.runs()] == others[1:]

    def test_pruning_never_takes_what_a_key_stands_for(self) -> None:
        """O3: a duplicate is still told what became of the first, and a failure can come again."""
        store = self.opened()
        kept = claim(store, keys=["long"]).run.id
        gone = claim(store, keys=["short"], keep=SHORT).run.id
        for run in (kept, gone):
            end(store, run, "failed")
        self.advance(store, 2 * SHORT)

        assert self.pruned(store, age=0, keep=0) == 1
        assert [run.id for run in store.runs()] == [kept]
        assert claim(store, keys=["short"]).mine
        assert claim(store, keys=["long"], reopen=True).run.id == kept

    def test_the_state_of_a_job_survives(self) -> None:
        store = self.opened()
        ended(store, slot=60)
        ended(store, "failed")
        store.pause("job")
        self.advance(store, SHORT)
        before = store.jobs()
        assert self.pruned(store, age=0, keep=0) == 2
        assert store.jobs() == before
        assert before["job"].last_run is not None

    def test_pruning_leaves_live_runs_dead_or_not(self) -> None:
        store = self.opened()
        dead, alive = holding(store, "a", ttl=SHORT), holding(store, "b")
        self.advance(store, 2 * SHORT)
        assert self.pruned(store, age=0, keep=0) == 0
        assert {run.id for run in store.runs()} == {dead, alive}
        assert [run.id for run in store.reap()] == [dead]
