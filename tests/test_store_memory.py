"""The store in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from afterwork import _store_memory
from afterwork._store_memory import MemoryStore
from afterwork.testing._store_jobs import JobTests, NoteTests
from afterwork.testing._store_tests import claim, claimed, ended, in_threads, record
from tests.clock import HandClock
from tests.contracts.store import StoreContract

if TYPE_CHECKING:
    from afterwork._store import Store


class TestMemoryStore(StoreContract):
    """O2 to O8, among them O7: a lease is given back from another thread."""

    def make_store(self) -> Store:
        self.clock = HandClock()
        return MemoryStore(clock=self.clock)

    def advance(self, store: Store, seconds: float) -> None:
        self.clock.advance(seconds)


class TestMemoryStoreInRealTime(JobTests, NoteTests):
    """The contract waits where no clock can be moved."""

    def make_store(self) -> Store:
        return MemoryStore()


def test_it_is_for_one_process() -> None:
    """L3: an app with several workers can tell that this store is not shared by them."""
    assert MemoryStore.shared == "process"


def test_it_does_not_grow_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to prune it. The newest are kept, and those that a key stands for."""
    monkeypatch.setattr(_store_memory, "MAX_ENDED", 10)
    monkeypatch.setattr(_store_memory, "SWEEP_EVERY", 5)
    clock = HandClock()
    store = MemoryStore(clock=clock)
    live = claimed(store)
    kept = claim(store, record(state="missed"), ["k"], keep=60).run.id
    newest = ""
    for number in range(100):
        newest = ended(store, slot=number)
        store.put(f"note {number}", "", ttl=1)
        clock.advance(1)

    runs = [run.id for run in store.runs(limit=1000)]
    assert len(runs) <= 10 + 2 + 5
    assert newest in runs
    assert live in runs
    assert kept not in runs, "its key does not count any more"
    assert store.jobs()["job"].counts == {"succeeded": 100, "missed": 1}
    assert len(store._tables._notes) <= 5
    assert not store._tables._keys


def test_one_call_of_prune_deletes_a_bounded_number() -> None:
    store = MemoryStore(clock=HandClock())
    for _ in range(1500):
        ended(store)
    assert [store.prune(age=60, keep=100) for _ in range(3)] == [1000, 400, 0]
    assert len(store.runs(limit=2000)) == 100


def test_the_contract_says_what_is_missing() -> None:
    with pytest.raises(TypeError, match=r"has to define make_store\(\)"):
        StoreContract().make_store()


def test_the_contract_notices_a_store_that_claims_twice() -> None:
    """A suite that nobody can fail is none."""

    class Forgetful(StoreContract):
        def make_store(self) -> Store:
            store = MemoryStore()
            store._tables.save_key = lambda *_: None  # type: ignore[method-assign]
            return store

    suite = Forgetful()
    suite.setup_method()
    with pytest.raises(AssertionError):
        suite.test_threads_that_race_for_slots_get_each_once()
    suite.teardown_method()


def test_the_contract_notices_a_failure_in_a_thread() -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        in_threads(lambda index: print(1 / index))
