"""What a store on this machine is made of: plain tables, which know no rules.

The rules are in `_local_store.py`. Whoever holds tables is alone with them until it lets go.
"""

from __future__ import annotations

from dataclasses import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Protocol

    from ._store import JobState, RunRecord
else:
    Protocol = object


@dataclass(frozen=True, slots=True)
class Kept:
    """A run, and what its record does not show."""

    record: RunRecord
    claimant: str
    """The id in the claim that made or reopened it: the same claim again is no duplicate."""
    keys_until: float = 0.0
    """When the last of its keys ends. Its record is kept until then."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that somebody holds or waits for. One that nobody does is not kept."""

    holder: str | None = None
    token: int = 0
    stop: str | None = None
    """Why the holder has to end."""
    waiting: str | None = None


class Tables(Protocol):
    """What the rules need. What has passed at `now` is not found."""

    now: float
    """The time of this step."""

    def run(self, run_id: str) -> Kept | None:
        """A run, or None."""
        ...

    def save_run(self, kept: Kept) -> None:
        """Writes a run, new or known."""
        ...

    def dead(self) -> list[str]:
        """The ids of all live runs whose time has passed, in their order."""
        ...

    def runs(
        self, job: str | None, state: str | None, before: str | None, limit: int
    ) -> list[RunRecord]:
        """As in `Store`."""
        ...

    def doomed(self, age: float, keep: int, limit: int) -> list[str]:
        """The ids of at most `limit` runs that `prune` is to delete."""
        ...

    def delete_runs(self, run_ids: Iterable[str]) -> None:
        """Deletes records."""
        ...

    def key(self, job: str, key: str) -> str | None:
        """The id of the run that has a key, or None."""
        ...

    def save_key(self, job: str, key: str, run_id: str, until: float) -> None:
        """Gives a key to a run."""
        ...

    def lock(self, name: str) -> Lock | None:
        """A lock, or None."""
        ...

    def locks_of(self, run_id: str) -> list[tuple[str, Lock]]:
        """The locks that a run holds or waits for, by name."""
        ...

    def save_lock(self, name: str, lock: Lock | None) -> None:
        """Writes a lock, or deletes it."""
        ...

    def next_token(self) -> int:
        """One more than the last."""
        ...

    def job(self, name: str) -> JobState | None:
        """A job without its counts, and with a pause that may be over; or None."""
        ...

    def save_job(self, job: JobState) -> None:
        """Writes a job without its counts."""
        ...

    def count(self, job: str, state: str) -> None:
        """Adds one to a count."""
        ...

    def jobs(self, name: str | None) -> list[JobState]:
        """All jobs, or the one of that name, with their counts."""
        ...

    def note(self, key: str) -> str | None:
        """What is kept under a key, or None."""
        ...

    def save_note(self, key: str, value: str, until: float | None) -> None:
        """Keeps a text."""
        ...

    def delete_note(self, key: str) -> None:
        """Forgets a key."""
        ...

    def notes(self, prefix: str) -> dict[str, str]:
        """As in `Store`."""
        ...

    def forget(self) -> None:
        """Deletes keys and notes whose time has passed, a bounded number."""
        ...
