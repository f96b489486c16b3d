"""The rules of claims: a slot runs once, over all workers, replicas and redeliveries."""

from __future__ import annotations

from dataclasses import replace

from .._store import DIED, LIVE, REOPENABLE, RunRecord
from ._store_tests import (
    LONG,
    MEDIUM,
    SHORT,
    THREADS,
    StoreTests,
    claim,
    claimed,
    end,
    in_threads,
    record,
    seen,
)

SLOTS = 40


class ClaimTests(StoreTests):
    """Part of `StoreContract`."""

    def test_a_new_claim_is_mine_and_stored_as_given_but_for_the_times(self) -> None:
        """O10: the caller's clock counts for nothing, however far off it is."""
        store = self.opened()
        run = record(slot=1_700_000_000, delivery="d", worker="w", claimed_at=5.0, alive_until=6.0)
        before = store.now()
        answer = claim(store, run, ["k"], ttl=100)
        after = store.now()

        assert answer.mine
        assert answer.run == as_stored(run, answer.run) == store.run(run.id)
        assert before <= answer.run.claimed_at <= after
        assert answer.run.alive_until is not None
        assert before + 99.99 < answer.run.alive_until < after + 100.01

    def test_a_key_that_is_taken_answers_the_run_that_has_it(self) -> None:
        """O2, O3: for as long as the key counts, whatever became of the run."""
        store = self.opened()
        first = claim(store, keys=["slot", "delivery"]).run
        for _ in range(2):
            again = claim(store, keys=["other", "delivery"])
            assert not again.mine
            assert again.run == store.run(first.id)
            end(store, first.id)
        assert len(store.runs()) == 1
        assert claim(store, keys=["other"]).mine, "a refused claim takes none of its keys"

    def test_the_first_key_that_is_taken_decides(self) -> None:
        store = self.opened()
        one, two = claim(store, keys=["1"]).run, claim(store, keys=["2"]).run
        assert claim(store, keys=["0", "2", "1"]).run.id == two.id
        assert claim(store, keys=["1", "2"]).run.id == one.id

    def test_keys_are_those_of_one_job(self) -> None:
        store = self.opened()
        assert claim(store, record("a"), ["k"]).mine
        assert claim(store, record("b"), ["k"]).mine
        assert not claim(store, record("a"), ["k"]).mine

    def test_without_keys_a_run_is_always_new(self) -> None:
        store = self.opened()
        assert claim(store).mine
        assert claim(store).mine
        assert len(store.runs()) == 2

    def test_keys_do_not_count_after_their_time(self) -> None:
        store = self.opened()
        first = claim(store, keys=["short"], keep=SHORT).run
        claim(store, keys=["long"], ttl=SHORT)
        self.advance(store, 2 * SHORT)

        second = claim(store, keys=["short"])
        assert second.mine
        assert second.run.id != first.id
        assert claim(store, keys=["short"]).run.id == second.run.id
        assert not claim(store, keys=["long"]).mine, "a key outlives the time of its run"

    def test_the_same_claim_again_gives_the_same_answer(self) -> None:
        """As after an answer that got lost on its way: it is no duplicate of itself."""
        store = self.opened()
        for run, keys in ((record(), ["k"]), (record(), []), (record(state="missed"), ["m"])):
            first = claim(store, run, keys)
            again = claim(store, run, keys)
            assert (again.mine, again.run.id, again.run.state) == (True, run.id, first.run.state)
        assert len(store.runs()) == 3
        assert store.jobs()["job"].counts == {"missed": 1}

        failed = claim(store, keys=["f"]).run.id
        end(store, failed, "failed")
        redelivery = record()
        for _ in range(2):
            answer = claim(store, redelivery, ["f"], reopen=True)
            assert (answer.mine, answer.run.id, answer.run.attempt) == (True, failed, 2)

    def test_a_run_that_ended_badly_is_reopened_as_its_next_attempt(self) -> None:
        """T5: a redelivery after a failure is the same run."""
        store = self.opened()
        for state in REOPENABLE:
            first = record(state, slot=7, delivery="first", worker="w1", trigger="schedule")
            claim(store, first, [state])
            store.acquire(first.id, None, ttl=LONG)
            end(store, first.id, state, error="E", reason="R", duration=1.5)

            before = store.now()
            again = claim(
                store, record(state, worker="w2", trigger="http"), [state], ttl=50, reopen=True
            )
            assert again.mine
            assert again.run == store.run(first.id)
            until = again.run.alive_until
            assert until is not None
            assert before + 49.99 < until < store.now() + 50.01
            expected = replace(first, attempt=2, worker="w2", trigger="http")
            assert again.run == as_stored(expected, again.run), "with no start and no end"

            end(store, first.id, state, attempt=2)
            assert claim(store, record(state, attempt=9), [state], reopen=True).run.attempt == 9
            end(store, first.id, attempt=9)
            assert not claim(store, record(state), [state], reopen=True).mine
            assert len(store.runs(job=state)) == 1

    def test_no_other_run_is_reopened(self) -> None:
        store = self.opened()
        for state in ("succeeded", "skipped", "missed"):
            run = claim(store, keys=[state]).run.id
            assert not claim(store, keys=[state], reopen=True).mine, "live"
            end(store, run, state)
            again = claim(store, keys=[state], reopen=True)
            assert (again.mine, again.run.state) == (False, state)

    def test_reopening_keeps_the_keys_anew(self) -> None:
        store = self.opened()
        first = claim(store, keys=["slot"], keep=MEDIUM).run.id
        end(store, first, "failed")
        assert claim(store, keys=["slot", "delivery"], reopen=True).mine
        self.advance(store, MEDIUM + SHORT)
        assert claim(store, keys=["slot"]).run.id == first
        assert claim(store, keys=["delivery"]).run.id == first

    def test_reopening_takes_no_key_of_another_run(self) -> None:
        store = self.opened()
        one, two = claim(store, keys=["1"]).run.id, claim(store, keys=["2"]).run.id
        end(store, one, "failed")
        assert claim(store, keys=["1", "2"], reopen=True).run.id == one
        assert claim(store, keys=["2"]).run.id == two

    def test_a_dead_run_that_has_a_key_is_abandoned(self) -> None:
        """O5: the redelivery of what a killed process left behind is a next attempt."""
        store = self.opened()
        dead = claim(store, keys=["k"], ttl=SHORT).run.id
        self.advance(store, 2 * SHORT)

        refused = claim(store, keys=["k"])
        assert not refused.mine
        assert (refused.run.id, refused.run.state, refused.run.reason) == (dead, "abandoned", DIED)
        again = claim(store, keys=["k"], reopen=True)
        assert (again.mine, again.run.id, again.run.attempt) == (True, dead, 2)
        assert store.jobs()["job"].counts == {"abandoned": 1}

    def test_reopening_a_dead_run_takes_its_lock_away(self) -> None:
        store = self.opened()
        dead = claim(store, keys=["k"], ttl=SHORT).run.id
        old = store.acquire(dead, "lock", ttl=SHORT)
        self.advance(store, 2 * SHORT)

        assert claim(store, keys=["k"], reopen=True).mine
        other = store.acquire(claimed(store), "lock", ttl=LONG)
        assert other.mine
        assert other.token > old.token

    def test_the_end_of_an_attempt_that_was_reopened_elsewhere_changes_nothing(self) -> None:
        """O6: a process that was frozen comes back, and its run is another's by now."""
        store = self.opened()
        run = claim(store, keys=["k"], ttl=SHORT).run.id
        self.advance(store, 2 * SHORT)
        assert claim(store, keys=["k"], reopen=True).run.attempt == 2

        assert not end(store, run, attempt=1)
        assert seen(store, run).state in LIVE
        assert end(store, run, attempt=2)

    def test_a_claim_may_be_over_at_once(self) -> None:
        """F2, F9: what was missed or skipped is taken down, and its slot is taken."""
        store = self.opened()
        before = store.now()
        answer = claim(store, record(state="missed", slot=60, reason="R"), ["60"])
        assert answer.mine
        assert answer.run == store.run(answer.run.id)
        assert (answer.run.state, answer.run.reason, answer.run.alive_until) == (
            "missed",
            "R",
            None,
        )
        assert answer.run.ended_at is not None
        assert before <= answer.run.ended_at <= store.now()
        assert not claim(store, record(slot=60), ["60"]).mine
        state = store.jobs()["job"]
        assert (state.last_slot, state.counts, state.last_run) == (60, {"missed": 1}, None)

        failed = claim(store, record(state="failed", error="E")).run
        state = store.jobs()["job"]
        assert (state.failures_in_a_row, state.last_run) == (1, failed)

    def test_the_newest_slot_is_remembered(self) -> None:
        store = self.opened()
        claim(store, record())
        assert store.jobs()["job"].last_slot is None
        for slot, newest in ((120, 120), (60, 120), (180, 180), (None, 180)):
            claim(store, record(slot=slot))
            assert store.jobs()["job"].last_slot == newest

    def test_threads_that_race_for_slots_get_each_once(self) -> None:
        """O1 within one process."""
        store = self.opened()
        won: list[int] = []

        def work(_: int) -> None:
            for slot in range(SLOTS):
                if claim(store, record(slot=slot), [str(slot)]).mine:
                    won.append(slot)

        in_threads(work, THREADS)
        assert sorted(won) == list(range(SLOTS))
        assert len(store.runs(limit=1000)) == SLOTS


def as_stored(run: RunRecord, stored: RunRecord) -> RunRecord:
    """A run that is not over, with the times that the store gave to it."""
    return replace(run, claimed_at=stored.claimed_at, alive_until=stored.alive_until)
