"""What the tests of a store have in common."""

from __future__ import annotations

import threading
import time

from .._ids import run_id
from .._store import RunRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .._store import Claim, Store

LONG = 86_400.0
"""Seconds that do not pass during a test."""
SHORT = 0.2
"""Seconds that tests let pass, with `advance`."""
MEDIUM = 1.0
"""The same, where steps before the end of that time have to be done within it."""
THREADS = 8
PATIENCE = 20.0
"""Seconds after which a condition that has not come true fails the test."""


class StoreTests:
    """How the tests make and use a store. See `store_contract` for what a user defines."""

    def setup_method(self) -> None:
        """Called by pytest before every test."""
        self.stores: list[Store] = []

    def teardown_method(self) -> None:
        """Called by pytest after every test."""
        for store in self.stores:
            store.close()

    def make_store(self) -> Store:
        """A new, empty store that is not open yet."""
        raise TypeError(f"{type(self).__name__} has to define make_store(), which returns a store")

    def advance(self, store: Store, seconds: float) -> None:
        """Returns once so many seconds have passed on the store's clock. The default waits; with a
        clock of your own, move it."""
        end = store.now() + seconds
        until(lambda: store.now() > end)

    def opened(self, store: Store | None = None) -> Store:
        """A store that is open, and closed after the test."""
        store = self.make_store() if store is None else store
        self.stores.append(store)
        store.open()
        return store


def record(job: str = "job", **more: Any) -> RunRecord:
    """A run as the caller of a store makes it."""
    return RunRecord(**{"id": run_id(), "job": job, "trigger": "manual", "worker": "w1", **more})


def ids(number: int) -> list[str]:
    """New ids in their order; those of one millisecond come in any."""
    return sorted(run_id() for _ in range(number))


def claim(
    store: Store,
    run: RunRecord | None = None,
    keys: Sequence[str] = (),
    *,
    keep: float = LONG,
    ttl: float = LONG,
    reopen: bool = False,
) -> Claim:
    """A claim with times that do not matter."""
    return store.claim(run or record(), keys, keep=keep, ttl=ttl, reopen=reopen)


def claimed(store: Store, job: str = "job", *, ttl: float = LONG, **more: Any) -> str:
    """A run that is claimed, as its id."""
    return claim(store, record(job, **more), ttl=ttl).run.id


def holding(store: Store, lock: str, *, ttl: float = LONG, **more: Any) -> str:
    """A run that holds the lock, as its id."""
    run = claimed(store, ttl=ttl, **more)
    assert store.acquire(run, lock, ttl=ttl).mine
    return run


def end(store: Store, run: str, state: str = "succeeded", **more: Any) -> bool:
    """Writes the end of a run."""
    return store.finish(record(id=run, state=state, **more))


def ended(store: Store, state: str = "succeeded", job: str = "job", **more: Any) -> str:
    """A run that is over, as its id."""
    run = claimed(store, job, **more)
    assert end(store, run, state)
    return run


def seen(store: Store, run: str) -> RunRecord:
    """What the store keeps of a run that it must have."""
    found = store.run(run)
    assert found is not None
    return found


def in_threads(work: Callable[[int], None], number: int = THREADS) -> None:
    """Runs `work(0)`, `work(1)` and so on in as many threads, all let go at once."""
    gate = threading.Barrier(number)
    failures: list[BaseException] = []

    def body(index: int) -> None:
        try:
            gate.wait(PATIENCE)
            work(index)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=body, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def until(condition: Callable[[], object], patience: float = PATIENCE) -> None:
    """Waits for a condition."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < patience, f"not after {patience:g} s"
        time.sleep(0.002)
