"""The rules of leases: no two runs of one lock at a time, and none held by the dead."""

from __future__ import annotations

from .._store import DIED, LEASE_LOST, NEWER_WAITS
from ._store_tests import (
    LONG,
    MEDIUM,
    SHORT,
    THREADS,
    StoreTests,
    claimed,
    end,
    ended,
    holding,
    in_threads,
    seen,
    until,
)

ROUNDS = 5


class LeaseTests(StoreTests):
    """Part of `StoreContract`."""

    def test_without_a_lock_a_claimed_run_may_always_start(self) -> None:
        store = self.opened()
        before = store.now()
        for _ in range(2):
            run = claimed(store)
            lease = store.acquire(run, None, ttl=100)
            assert (lease.holder, lease.mine, lease.token) == (run, True, 0)
            found = seen(store, run)
            assert found.state == "running"
            assert found.started_at is not None
            assert found.alive_until is not None
            assert before <= found.started_at <= store.now()
            assert before + 99.99 < found.alive_until < store.now() + 100.01

    def test_a_lock_has_one_holder(self) -> None:
        store = self.opened()
        holder = holding(store, "a")
        other = claimed(store)
        lease = store.acquire(other, "a", ttl=LONG)
        assert (lease.holder, lease.mine) == (holder, False)
        assert seen(store, other).state == "claimed"
        assert store.acquire(other, "b", ttl=LONG).mine, "another lock is another matter"

    def test_tokens_grow_with_every_holder(self) -> None:
        store = self.opened()
        tokens = []
        for ttl in (LONG, SHORT, LONG, SHORT, LONG):
            run = claimed(store)
            tokens.append(store.acquire(run, "a", ttl=ttl).token)
            if ttl == SHORT:
                self.advance(store, 2 * SHORT)
            else:
                end(store, run)
        assert tokens[0] > 0
        assert tokens == sorted(set(tokens))

    def test_a_holder_keeps_its_lock_and_its_token(self) -> None:
        """O7: from any thread, as after an answer that got lost on its way."""
        store = self.opened()
        run = claimed(store)
        first = store.acquire(run, "a", ttl=SHORT)
        started = seen(store, run).started_at

        def again(_: int) -> None:
            assert store.acquire(run, "a", ttl=LONG) == first

        in_threads(again, 2)
        assert seen(store, run).started_at == started
        self.advance(store, 2 * SHORT)
        assert store.reap() == [], "asking again renews it"

    def test_a_dead_holder_is_abandoned_and_its_lock_free(self) -> None:
        """O5 within one process."""
        store = self.opened()
        dead = holding(store, "a", ttl=SHORT)
        self.advance(store, 2 * SHORT)

        assert store.acquire(claimed(store), "a", ttl=LONG).mine
        found = seen(store, dead)
        assert (found.state, found.reason, found.alive_until) == ("abandoned", DIED, None)
        assert found.ended_at is not None
        assert store.jobs()["job"].counts == {"abandoned": 1}

    def test_the_late_end_of_a_lost_run_does_not_free_the_new_holders_lock(self) -> None:
        """O6: it is told, and its end is not written."""
        store = self.opened()
        lost = holding(store, "a", ttl=SHORT)
        self.advance(store, 2 * SHORT)
        holder = holding(store, "a")

        assert store.renew(lost, ttl=LONG) == LEASE_LOST
        assert not end(store, lost)
        assert seen(store, lost).state == "abandoned"
        assert store.acquire(claimed(store), "a", ttl=LONG).holder == holder
        assert store.renew(holder, ttl=LONG) is None

    def test_a_late_run_that_nobody_has_marked_goes_on(self) -> None:
        store = self.opened()
        late, later = holding(store, "a", ttl=SHORT), holding(store, "b", ttl=SHORT)
        self.advance(store, 2 * SHORT)

        assert store.renew(late, ttl=LONG) is None
        assert end(store, later)
        assert store.reap() == []
        assert store.acquire(claimed(store), "a", ttl=LONG).holder == late

    def test_a_run_that_is_not_live_gets_no_lease(self) -> None:
        store = self.opened()
        for run in (ended(store), "01890a5d-ac96-774b-bcce-b302099a8057"):
            for lock in ("a", None):
                lease = store.acquire(run, lock, ttl=LONG)
                assert (lease.holder, lease.mine) == ("", False)
            assert store.renew(run, ttl=LONG) == LEASE_LOST
            assert not store.wait(run, "a")
        assert store.acquire(claimed(store), "a", ttl=LONG).mine

    def test_renewing_keeps_a_run_and_its_lock(self) -> None:
        """O4: a run that outlives its first lease is not joined by a second."""
        store = self.opened()
        runs = [holding(store, "a", ttl=SHORT), claimed(store, ttl=SHORT)]
        for run in runs:
            assert store.renew(run, ttl=LONG) is None
        self.advance(store, 2 * SHORT)

        assert store.acquire(claimed(store), "a", ttl=LONG).holder == runs[0]
        assert store.reap() == []

    def test_an_end_frees_the_lock_whoever_writes_it(self) -> None:
        """O7: it belongs to a run, not to a thread or connection."""
        store = self.opened()
        ends: list[bool] = []
        holder = holding(store, "a")
        in_threads(lambda _: ends.append(end(store, holder)), 1)
        assert ends == [True]
        assert store.acquire(claimed(store), "a", ttl=LONG).mine

    def test_who_is_to_stop_learns_the_reason(self) -> None:
        """O8, replace: it still holds the lock until it has ended."""
        store = self.opened()
        assert not store.stop("a", "replaced")
        holder, other = holding(store, "a"), claimed(store)
        assert store.stop("a", "replaced")
        assert store.renew(holder, ttl=LONG) == "replaced"
        assert store.acquire(other, "a", ttl=LONG).holder == holder
        assert end(store, holder, "cancelled")

        assert not store.stop("a", "too late")
        assert store.acquire(other, "a", ttl=LONG).mine
        assert store.renew(other, ttl=LONG) is None, "the next holder is not meant"

    def test_one_waits_and_the_newest_slot_wins(self) -> None:
        """O8, queue."""
        store = self.opened()
        holder = holding(store, "a", slot=1)
        three, two, four = (claimed(store, slot=slot) for slot in (3, 2, 4))
        assert store.wait(three, "a")
        assert store.wait(three, "a"), "again, as after an answer that got lost"
        assert not store.wait(two, "a")
        assert store.wait(four, "a")

        for skipped in (two, three):
            found = seen(store, skipped)
            assert (found.state, found.reason) == ("skipped", NEWER_WAITS)
            assert found.ended_at is not None
            assert store.renew(skipped, ttl=LONG) == LEASE_LOST
        assert store.jobs()["job"].counts == {"skipped": 2}
        assert store.acquire(four, "a", ttl=LONG).holder == holder
        end(store, holder)
        assert store.acquire(four, "a", ttl=LONG).mine

    def test_without_a_slot_whoever_comes_later_is_newer(self) -> None:
        store = self.opened()
        for first, second in ((9, None), (None, 9), (None, None)):
            lock = f"{first} {second}"
            holding(store, lock)
            old, new = claimed(store, slot=first), claimed(store, slot=second)
            assert store.wait(old, lock)
            assert store.wait(new, lock)
            assert (seen(store, old).state, seen(store, new).state) == ("skipped", "claimed")

    def test_nobody_overtakes_the_one_that_waits(self) -> None:
        store = self.opened()
        holder, waiting, other = holding(store, "a"), claimed(store), claimed(store)
        assert store.wait(waiting, "a")
        end(store, holder)
        lease = store.acquire(other, "a", ttl=LONG)
        assert (lease.mine, lease.holder) == (False, waiting)
        assert store.acquire(waiting, "a", ttl=LONG).mine

        end(store, waiting)
        assert store.acquire(other, "a", ttl=LONG).mine, "nobody waits any more"

    def test_who_is_over_does_not_wait(self) -> None:
        store = self.opened()
        holder, waiting = holding(store, "a"), claimed(store, slot=9)
        assert store.wait(waiting, "a")
        end(store, waiting, "cancelled")
        other = claimed(store, slot=1)
        assert store.wait(other, "a"), "the place is free again"
        end(store, other, "cancelled")
        end(store, holder)
        assert store.acquire(claimed(store), "a", ttl=LONG).mine

    def test_the_dead_do_not_wait(self) -> None:
        store = self.opened()
        for lock in ("a", "b"):
            holding(store, lock)
        dead = [claimed(store, ttl=MEDIUM, slot=9) for _ in range(2)]
        for lock, run in zip(("a", "b"), dead, strict=True):
            assert store.wait(run, lock)
        self.advance(store, MEDIUM + SHORT)

        assert store.wait(claimed(store, slot=1), "a")
        assert seen(store, dead[0]).state == "abandoned"
        end(store, store.acquire(claimed(store), "b", ttl=LONG).holder)
        assert store.acquire(claimed(store), "b", ttl=LONG).mine
        assert seen(store, dead[1]).state == "abandoned"

    def test_threads_that_race_for_a_lock_never_hold_it_together(self) -> None:
        store = self.opened()
        inside: list[str] = []
        tokens: list[int] = []

        def work(_: int) -> None:
            for _ in range(ROUNDS):
                one_round()

        def one_round() -> None:
            run = claimed(store)
            until(lambda: store.acquire(run, "a", ttl=LONG).mine)
            inside.append(run)
            assert inside == [run]
            tokens.append(store.acquire(run, "a", ttl=LONG).token)
            inside.remove(run)
            assert end(store, run)

        in_threads(work)
        assert len(tokens) == THREADS * ROUNDS
        assert tokens == sorted(set(tokens))
