"""What became of each slot, by the journal of the runs and by the records in the store."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from afterwork import Store
    from tests.servers.journal import Journal


def ran(journal: Journal, event: str = "ran") -> Counter[int]:
    """How often each slot ran so far."""
    return Counter(int(line.name) for line in journal.lines(event) if line.name.isdigit())


def observed(journal: Journal) -> range:
    """The slots between the first and the last that ran; those two may be on their way."""
    slots = ran(journal, "started")
    return range(min(slots) + 1, max(slots)) if slots else range(0)


def recorded(store: Store, state: str) -> set[int]:
    """The slots that have a record with that state."""
    found = store.runs(job="beat", state=state, limit=1000)
    return {run.slot for run in found if run.slot is not None}


def assert_each_ran_once(journal: Journal, slots: range) -> None:
    counts = ran(journal)
    assert {slot: counts[slot] for slot in slots} == dict.fromkeys(slots, 1)
    assert_none_ran_twice(journal)


def assert_none_ran_twice(journal: Journal) -> None:
    assert [slot for slot, count in ran(journal, "started").items() if count > 1] == []
