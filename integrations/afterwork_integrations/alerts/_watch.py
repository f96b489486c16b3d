"""What both kinds of alerts have in common: which runs count, and that they are told elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from afterwork.errors import InvalidOptionError

from .._facts import Facts, facts_of
from .._outbox import Outbox
from ._alert import Alert
from ._changes import Changes

if TYPE_CHECKING:
    from afterwork import Run, Store

__all__ = ["Watch"]


class Watch:
    """Watches runs and hands alerts to `deliver`, in a thread of its own."""

    def __init__(
        self,
        deliver: Callable[[Alert], object],
        store: Store,
        *,
        name: str,
        after: int,
        repeat: float | timedelta | None,
        jobs: Collection[str] | None,
        callbacks: bool,
        include_error: bool,
    ) -> None:
        if not all(hasattr(store, method) for method in ("open", "add", "delete")):
            raise InvalidOptionError("store", "the app's store, such as a SQLiteStore", store)
        if not isinstance(name, str) or not name:
            raise InvalidOptionError("name", "a text that is not empty", name)
        if isinstance(jobs, str):
            raise InvalidOptionError("jobs", "a list of names", jobs)
        self._deliver = deliver
        self._changes = Changes(store, name, _count("after", after), _seconds("repeat", repeat))
        self._jobs = None if jobs is None else frozenset(jobs)
        self._callbacks = callbacks
        self._include_error = include_error
        self._outbox = Outbox("alerts")

    def ended(self, run: Run) -> None:
        """Counts a run that is over, later."""
        facts = facts_of(run)
        wanted = facts.is_job or self._callbacks
        if wanted and (self._jobs is None or facts.name in self._jobs):
            self._outbox.put(partial(self._count, facts))

    def flush(self, seconds: float) -> None:
        """Waits for what is still to be counted and told."""
        self._outbox.flush(seconds)

    def _count(self, facts: Facts) -> None:
        change = self._changes.note(facts)
        if change is None:
            return
        event, since = change
        try:
            self._deliver(Alert.of(event, facts, since, self._include_error))
        except BaseException:
            self._changes.undo(event, facts, since)
            raise


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidOptionError(name, "a whole number, 1 or more", value)
    return value


def _seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
        raise InvalidOptionError(name, "seconds or a timedelta, more than 0, or None", value)
    return float(seconds)
