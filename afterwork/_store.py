"""What a store keeps: which slots are taken, who runs what, and what became of every run.

1. A claim makes a slot run once, over all workers and replicas. A lease keeps two runs of one job
   apart. They are two things: a lease that has ended says nothing about the slot.
2. Every time that is compared with another is the store's own. Callers give durations.
3. A run that is not over is alive until a moment, which whoever runs it keeps moving ahead. Once
   that moment has passed, anybody may mark it as abandoned, and whoever finds it in the way does.
   Until then it may go on: a late `renew` or `finish` of a run that nobody has marked counts.
4. Each method is one atomic step, may be called from any thread, and may block for a few seconds at
   most. It raises `StoreError` where it could not be done; then nothing was changed, or the answer
   got lost on its way. Calling `claim`, `acquire`, `wait`, `renew`, `register`, `put` or `pause`
   again with the same arguments then gives it; the others say that there was nothing left to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Literal, Protocol
else:
    Protocol = object

CLAIMED = "claimed"
"""The state of a run that has its slot and does not run yet."""
RUNNING = "running"
"""The state of a run between its start and its end. All others are the values of `Outcome`."""

LIVE = (CLAIMED, RUNNING)
REOPENABLE = ("failed", "timed_out", "cancelled", "abandoned")
"""The outcomes after which the same delivery may come again and be a next attempt."""

FAILURES = ("failed", "timed_out", "abandoned")
"""The outcomes that count for `failures_in_a_row`. Only `succeeded` sets it back."""

LEASE_LOST = "lease lost"
"""What `renew` answers to a run that is not live any more."""
DIED = "not renewed in time"
"""The reason of a run that was marked as abandoned."""
NEWER_WAITS = "a newer one waits"
"""The reason of a run that was skipped in favour of another in the waiting place."""

MAX_ERROR_LENGTH = 2000
"""How many characters of an error are kept."""
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")


def kept_error(error: str | None) -> str | None:
    """What a store keeps of an error: its beginning, without what no database takes. An odd
    character must not be the reason why the end of a run is not written."""
    if error is None:
        return None
    return _NO_TEXT.sub("\ufffd", error[:MAX_ERROR_LENGTH])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run, as a store keeps it. Times are seconds since the epoch, by the store's clock."""

    id: str
    """A UUIDv7, the same for all attempts."""
    job: str
    """The name of the job, or of the callback."""
    trigger: str
    """What set it off: `after`, `schedule`, `http`, `manual` or `retry`."""
    state: str = CLAIMED
    """`claimed`, `running` or an `Outcome`."""
    slot: int | None = None
    """The occurrence of the job's schedule that it is, or None."""
    delivery: str | None = None
    """The id that an outside caller gave to its delivery, or None."""
    attempt: int = 1
    """1 for the first; a redelivery after a failure counts on."""
    worker: str = ""
    """The process that runs it, for people: host and pid."""
    claimed_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    alive_until: float | None = None
    """While it is not over: when it counts as dead, unless it is renewed before."""
    duration: float | None = None
    """Seconds of its last attempt, measured where it ran."""
    reason: str | None = None
    """Why it was skipped, cancelled or abandoned."""
    error: str | None = None
    """Class and text of what its last attempt raised, cut to `MAX_ERROR_LENGTH` characters."""

    @property
    def live(self) -> bool:
        """Whether it is not over."""
        return self.state in LIVE


@dataclass(frozen=True, slots=True)
class Claim:
    """What became of a claim."""

    run: RunRecord
    """The run that has the slot: the one that was given, or the one that was there first."""
    mine: bool
    """True: go on and run it. False: it is a duplicate of `run`."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What became of asking for a lease."""

    holder: str
    """The id of the run that holds it, or, where nobody does, of the one that waits for it."""
    mine: bool
    token: int = 0
    """Grows with every holder, so that a late write of an old holder can be refused (fencing)."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A job that is not to run for a while."""

    since: float
    until: float | None
    """None: until somebody resumes it."""
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """What a store knows of a job. It outlives the records of its runs."""

    name: str
    registered_at: float
    """When the job was first registered: slots before that were never due."""
    last_slot: int | None = None
    """The newest slot that was ever claimed."""
    last_run: RunRecord | None = None
    """The run that ended last; skipped and missed ones do not count."""
    last_success_at: float | None = None
    failures_in_a_row: int = 0
    """How many ended with one of `FAILURES` since the last success; others change nothing."""
    pause: Pause | None = None
    """None too once its time is over."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many runs ended with each outcome, pruned ones included."""


class Store(Protocol):
    """Keeps claims, leases, run records and pauses. A store serves one app: jobs of the same name
    in two apps need two namespaces.

    `MemoryStore` is for tests and single processes, `SQLiteStore` for all processes of one machine.
    `afterwork_integrations.redis` and `.postgresql` are for replicas. Write your own by keeping the
    rules of `tests/contracts/store.py`.

    Its methods are called in threads. A store that never waits for anything may say
    `blocks = False`, and is called on the event loop.
    """

    shared: Literal["process", "machine", "network"]
    """Who sees the same store."""

    def open(self) -> None:
        """Connects and makes or migrates what is needed. Does nothing the second time."""
        ...

    def close(self) -> None:
        """Lets go of connections. `open` opens it again."""
        ...

    def now(self) -> float:
        """The store's clock."""
        ...

    # -- claims and leases

    def claim(
        self, run: RunRecord, keys: Sequence[str], *, keep: float, ttl: float, reopen: bool = False
    ) -> Claim:
        """Takes the occurrence with these keys for `run`, if none of them is taken for its job.

        The keys are kept for `keep` seconds and no longer count after that. If one is taken, the
        answer is the run that has it, and `mine` is False; but with `reopen`, a run that ended with
        one of `REOPENABLE` becomes `claimed` again under its old id, with the attempt
        `max(old + 1, run.attempt)`, `run`'s worker and trigger, no start and no end, alive for
        `ttl` seconds; then `mine` is True, and those of the keys that nobody else has are kept
        anew. A live run that has died and has a key is marked as abandoned first.

        A new run is stored as given, but for `claimed_at`, which is now, and for `alive_until`,
        which is `ttl` seconds from now. If its state is an outcome, it is over: `ended_at` is now,
        it has no `alive_until`, and it is counted. Without keys it is always new.
        """
        ...

    def acquire(self, run_id: str, lock: str | None, *, ttl: float) -> Lease:
        """Lets a claimed run start: it becomes `running`, alive for `ttl` seconds.

        `lock` None: it always may, and the token is 0. Else it may if nobody else's living run
        holds that lock and nobody else waits for it (`wait`). A holder that has died is marked as
        `abandoned`. A run that holds the lock already keeps it, and its token. A run that is not
        live any more gets none: the answer's `holder` is empty.
        """
        ...

    def wait(self, run_id: str, lock: str) -> bool:
        """Puts a claimed run in the one waiting place of a lock. Returns False if there waits one
        with a newer slot: then this run is over, `skipped`. Otherwise the one that waited before is
        skipped, and True returned. A run without a slot is newer than all that came before it, and
        older than all that come after it. One that has died does not wait. Returns False for a
        run that is not `claimed`, too."""
        ...

    def stop(self, lock: str, reason: str) -> bool:
        """Asks the holder of a lock to end: its next `renew` answers the reason. Returns whether
        there was one."""
        ...

    def renew(self, run_id: str, *, ttl: float) -> str | None:
        """Keeps a run alive for `ttl` seconds from now, and its lock if it holds one. Returns
        None, or why the run has to end: what `stop` said, or `"lease lost"` for one that is not
        live any more or whose lock somebody else has."""
        ...

    def finish(self, run: RunRecord) -> bool:
        """Writes the end of a live run: state, attempt, duration, reason and error are `run`'s,
        `ended_at` is now. Counts it, and lets go of its lock and its waiting place. Returns False,
        with nothing changed, if it was not live any more, or is a later attempt by now: then
        somebody else has reopened it."""
        ...

    def reap(self) -> list[RunRecord]:
        """Marks all live runs whose time has passed as abandoned, lets go of their locks, and
        returns them."""
        ...

    # -- runs

    def run(self, run_id: str) -> RunRecord | None:
        """One run, or None."""
        ...

    def runs(
        self,
        *,
        job: str | None = None,
        state: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[RunRecord]:
        """Runs, the newest first, which is the order of their ids; `before`: only those whose id is
        smaller, for the next page."""
        ...

    def prune(self, *, age: float, keep: int) -> int:
        """Deletes records of runs that ended more than `age` seconds ago, and of each job all but
        the newest `keep` that are over; keys and notes whose time has passed, too. Never a live
        run, one that has a key which still counts, a job's state or its counts. Returns how many
        records it deleted. One call deletes a bounded number; call again while the answer is not 0.
        """
        ...

    # -- jobs

    def register(self, jobs: Iterable[str]) -> None:
        """Takes down when these jobs were first seen."""
        ...

    def jobs(self, name: str | None = None) -> dict[str, JobState]:
        """The state of all jobs that were registered or paused or have run, by name; or of the one
        of that name alone, if it is known. Each run asks for its own, so that must not take longer
        where there are many."""
        ...

    def pause(self, job: str, *, seconds: float | None = None, note: str | None = None) -> None:
        """Pauses a job, for so long or until it is resumed. Replaces an earlier pause."""
        ...

    def resume(self, job: str) -> bool:
        """Ends a pause. Returns whether there was one."""
        ...

    # -- notes: small texts, such as the heartbeat of a worker

    def put(self, key: str, value: str, *, ttl: float | None = None) -> None:
        """Keeps a text under a key, for `ttl` seconds or for good."""
        ...

    def add(self, key: str, value: str, *, ttl: float | None = None) -> bool:
        """As `put`, but only if nothing is kept there. Returns whether it did."""
        ...

    def get(self, key: str) -> str | None:
        """What is kept under a key, or None."""
        ...

    def delete(self, key: str) -> bool:
        """Forgets a key. Returns whether there was one."""
        ...

    def notes(self, prefix: str) -> dict[str, str]:
        """All that is kept under keys with that beginning."""
        ...
