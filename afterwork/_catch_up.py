"""The slots that `misfire="all"` still has to make up for.

They run one after the other, and meanwhile newer slots are claimed. So the newest claimed slot no
longer tells what is left: a note in the store does, until each of them has been claimed. One
process at a time works through a job's list, or their order would be lost.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._store import Store

LEFT_PREFIX = "catch-up:"
BY_PREFIX = "catch-up-by:"


def take(store: Store, job: str, slots: list[int], worker: str, ttl: float) -> list[int]:
    """The slots of a job that are to be run now, the oldest first: those given, and those that were
    left before. None if somebody is at it already: then they wait in the list until he is done, or
    has been silent for `ttl` seconds. Blocks; raises `StoreError`."""
    note = store.get(LEFT_PREFIX + job)
    if note is None and len(slots) < 2:
        return slots
    before: list[int] = [] if note is None else json.loads(note)
    left = sorted({*slots, *before})
    store.put(LEFT_PREFIX + job, json.dumps(left))
    return left if store.add(BY_PREFIX + job, worker, ttl=ttl) else []


def done(store: Store, job: str, slot: int, worker: str, ttl: float) -> None:
    """A slot of such a list has been claimed, by whomever. Blocks; raises `StoreError`."""
    note = store.get(LEFT_PREFIX + job)
    left = [] if note is None else [each for each in json.loads(note) if each != slot]
    if left:
        store.put(LEFT_PREFIX + job, json.dumps(left))
        store.put(BY_PREFIX + job, worker, ttl=ttl)
    else:
        store.delete(LEFT_PREFIX + job)
        store.delete(BY_PREFIX + job)


def left(store: Store) -> list[str]:
    """The jobs with slots left that nobody works through. Blocks; raises `StoreError`."""
    names = [key.removeprefix(LEFT_PREFIX) for key in store.notes(LEFT_PREFIX)]
    return [name for name in names if store.get(BY_PREFIX + name) is None]
