"""Whether a run changes how its job does: decided in the store, once over all replicas.

1. The n-th failure in a row leaves the n-th mark, up to the threshold. Only one of several that
   come at once can leave a mark (`add`): who leaves the last one tells.
2. A success takes the marks away. Only one of several that come at once can take the last one
   (`delete`): who takes it tells.
3. What could not be told is undone, and is told with the next failure or success.
4. Where a failure and a success of one job come at the very same moment, either may count as the
   later one. With a threshold above one, the next alert may then come a failure early.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from afterwork import Outcome
from afterwork.stores import FAILURES

from .._facts import Facts
from ._alert import Event

if TYPE_CHECKING:
    from afterwork import Store

__all__ = ["Changes"]

BAD = (*FAILURES, Outcome.MISSED)


class Changes:
    """The marks of one receiver of alerts. `name` keeps them apart from those of others."""

    def __init__(self, store: Store, name: str, after: int, repeat: float | None) -> None:
        self._store = store
        self._name = name
        self._after = after
        self._repeat = repeat

    def note(self, facts: Facts) -> tuple[Event, datetime] | None:
        """Counts a run. Returns what is to be told, and since when the job has been failing. Raises
        `StoreError`."""
        self._store.open()  # whoever is alerted may be up before the app's first job
        if facts.outcome in BAD:
            return self._failed(facts)
        if facts.outcome == Outcome.SUCCEEDED:
            return self._succeeded(facts)
        return None

    def undo(self, event: Event, facts: Facts, since: datetime) -> None:
        """Puts back what `note` changed, since it could not be told. Raises `StoreError`."""
        if event == "recovered":
            for count in range(1, self._after + 1):
                self._store.add(self._mark(facts, count), since.isoformat())
        elif event == "failing":
            self._store.delete(self._mark(facts, self._after))
        else:
            self._store.delete(self._reminder(facts))

    def _failed(self, facts: Facts) -> tuple[Event, datetime] | None:
        now = facts.at.isoformat()
        for count in range(1, self._after + 1):
            if self._store.add(self._mark(facts, count), now):
                if count < self._after:
                    return None
                if self._repeat is not None:
                    self._store.put(self._reminder(facts), now, ttl=self._repeat)
                return "failing", self._since(facts)
        if self._repeat is None:
            return None
        if self._store.add(self._reminder(facts), now, ttl=self._repeat):
            return "still_failing", self._since(facts)
        return None

    def _succeeded(self, facts: Facts) -> tuple[Event, datetime] | None:
        first, last = self._mark(facts, 1), self._mark(facts, self._after)
        if self._store.get(first) is None and self._store.get(last) is None:
            return None  # as nearly always, and without a write
        since = self._since(facts)
        told = self._store.delete(last)
        for count in range(1, self._after):
            self._store.delete(self._mark(facts, count))
        if self._repeat is not None:
            self._store.delete(self._reminder(facts))
        return ("recovered", since) if told else None

    def _since(self, facts: Facts) -> datetime:
        first = self._store.get(self._mark(facts, 1))
        return facts.at if first is None else datetime.fromisoformat(first)

    def _mark(self, facts: Facts, count: int) -> str:
        return f"{self._key(facts)}:{count}"

    def _reminder(self, facts: Facts) -> str:
        return f"{self._key(facts)}:reminder"

    def _key(self, facts: Facts) -> str:
        return f"alerts:{self._name}:{'job' if facts.is_job else 'callback'}:{facts.name}"
