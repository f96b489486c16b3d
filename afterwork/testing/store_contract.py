"""The rules that every store keeps, as tests to run against yours.

```
# test_my_store.py
from afterwork.testing.store_contract import SharedStoreContract

def open_mine(url):
    return MyStore(url)

class TestMyStore(SharedStoreContract):
    def make_store(self):               # new and empty
        return MyStore(self.url())

    def opener(self):                   # how another process opens a new, empty one
        return f"{__name__}:open_mine", self.url()
```

A store that only one process sees takes `StoreContract`, which has all but the tests with several
processes. With a clock of your own in the store, move it in `advance`, and nothing is waited for.
The tests are plain methods; pytest runs them. Those of `tests/contracts/store.py` are these.
"""

from __future__ import annotations

import json
from contextlib import ExitStack

from ._store_claims import ClaimTests
from ._store_jobs import JobTests, NoteTests
from ._store_leases import LeaseTests
from ._store_process import HELD, Child, open_store
from ._store_records import PruneTests, RunTests
from ._store_tests import LONG, StoreTests, claim, claimed, end, holding, record, seen, until

__all__ = ["SharedStoreContract", "StoreContract"]

PROCESSES = 8
SLOTS = 300


class StoreContract(ClaimTests, LeaseTests, RunTests, PruneTests, JobTests, NoteTests):
    """Subclass it as `Test...` and define `make_store`."""


class SharedTests(StoreTests):
    """What several processes, each with its own connection, see of one store."""

    def opener(self) -> tuple[str, str]:
        """How another process opens a new, empty store: `"module:function"` and the text that the
        function is given. It is called once in each test."""
        raise TypeError(
            f"{type(self).__name__} has to define opener(), which returns 'module:function' and "
            "an argument"
        )

    def test_two_connections_see_the_same(self) -> None:
        """O1, O6, O7, O13, over two connections in one process."""
        opener = self.opener()
        one, two = (self.opened(open_store(*opener)) for _ in range(2))
        run = claim(one, record(slot=60), ["60"]).run
        again = claim(two, record(slot=60), ["60"])
        assert (again.mine, again.run) == (False, run)
        assert one.acquire(run.id, "a", ttl=LONG).mine
        assert two.acquire(claimed(two), "a", ttl=LONG).holder == run.id
        assert two.stop("a", "replaced")
        assert one.renew(run.id, ttl=LONG) == "replaced"
        assert end(two, run.id)
        assert holding(one, "a") != run.id
        two.pause("job", note="N")
        assert one.jobs() == two.jobs()
        assert one.runs() == two.runs()
        two.put("k", "v")
        assert one.get("k") == "v"

    def test_processes_that_race_for_slots_run_each_once(self) -> None:
        """O1, O10: 8 processes, 300 slots, exactly 300 runs, with clocks up to 10 minutes off."""
        opener = self.opener()
        with ExitStack() as stack:
            racers = [
                stack.enter_context(Child(opener, "race", number, SLOTS))
                for number in range(PROCESSES)
            ]
            for racer in racers:
                assert racer.heard() == "ready"
            for racer in racers:
                racer.go()
            won = [slot for racer in racers for slot in json.loads(racer.heard())]

        assert sorted(won) == list(range(SLOTS))
        store = self.opened(open_store(*opener))
        assert len(store.runs(limit=10 * SLOTS)) == SLOTS
        state = store.jobs()["race"]
        assert (state.counts, state.last_slot) == ({"succeeded": SLOTS}, SLOTS - 1)

    def test_a_killed_holder_is_abandoned_and_its_lock_free(self) -> None:
        """O5: after SIGKILL, once its time is over, and not before."""
        opener = self.opener()
        store = self.opened(open_store(*opener))
        with Child(opener, "hold", "a") as holder:
            assert holder.heard() == "ready"
            before = store.now()
            holder.go()
            dead = holder.heard()

        other = claimed(store)
        until(lambda: store.acquire(other, "a", ttl=LONG).mine)
        assert store.now() - before >= HELD
        assert seen(store, dead).state == "abandoned"
        assert store.jobs()["hold"].counts == {"abandoned": 1}
        again = claim(store, record("hold"), ["slot"], reopen=True)
        assert (again.mine, again.run.id, again.run.attempt) == (True, dead, 2)


class SharedStoreContract(StoreContract, SharedTests):
    """Subclass it as `Test...` and define `make_store` and `opener`."""
