"""What the pipeline asks about work that a store has a say in: may it run, and what became of it.

The pipeline knows neither jobs nor stores. It calls a ticket before such a work starts and after it
ended, in threads that may block.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal, Protocol

    from ._job import Job
    from ._outcome import Outcome
    from ._work import Work
else:
    Protocol = object


class Verdict:
    """Whether a work may run. `wait` is in seconds, `outcome` how it ends without having run.
    `elsewhere`: it is somebody else's to run, and none of this pipeline's any more."""

    __slots__ = ("elsewhere", "error", "outcome", "reason", "wait")

    def __init__(
        self,
        *,
        elsewhere: bool = False,
        wait: float | None = None,
        outcome: Outcome | None = None,
        reason: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        self.elsewhere = elsewhere
        self.wait = wait
        self.outcome = outcome
        self.reason = reason
        self.error = error


GO = Verdict()
ELSEWHERE = Verdict(elsewhere=True)


class Plain:
    """What most tickets say of themselves: nothing of them is written ahead."""

    __slots__ = ()

    @property
    def call_id(self) -> str | None:
        """None."""
        return None

    @property
    def unwritten(self) -> bool:
        """No."""
        return False

    @property
    def admitted(self) -> bool:
        """No."""
        return False

    @property
    def comes_again(self) -> bool:
        """No."""
        return False

    @property
    def gone(self) -> bool:
        """No."""
        return False

    @property
    def earlier_failures(self) -> int:
        """None."""
        return 0

    async def write(self, work: Work) -> None:
        """Nothing to write."""

    def again(self, work: Work, delay: float, error: BaseException) -> bool:
        """The pipeline sees to it."""
        return False


class Ticket(Protocol):
    """What a work carries that a store has a say in."""

    @property
    def job(self) -> Job[..., Any] | None:
        """The job that it is a run of; None for a callback."""
        ...

    @property
    def trigger(self) -> Literal["after", "schedule", "http", "manual", "retry"]:
        """What set it off."""
        ...

    @property
    def slot(self) -> int | None:
        """The occurrence of a schedule that it is."""
        ...

    @property
    def delivery(self) -> str | None:
        """An outside caller's id for it."""
        ...

    @property
    def payload(self) -> object:
        """What an outside caller sent with it."""
        ...

    @property
    def earlier_attempts(self) -> int:
        """How many attempts the same delivery had before this work."""
        ...

    @property
    def last_success_at(self) -> float | None:
        """When the job last succeeded, in seconds since the epoch."""
        ...

    @property
    def lag_seconds(self) -> float | None:
        """How late a scheduled run started."""
        ...

    @property
    def token(self) -> int | None:
        """The fencing token of its lease."""
        ...

    @property
    def blocks(self) -> bool:
        """Whether `enter` and `leave` may wait for something, and so need a thread."""
        ...

    @property
    def call_id(self) -> str | None:
        """The id that its run has already; None where it gets one once it is asked for."""
        ...

    @property
    def unwritten(self) -> bool:
        """Whether it has to be written down (`write`) before anything else."""
        ...

    @property
    def admitted(self) -> bool:
        """Whether the work's condition (`on=`) was asked already, and met."""
        ...

    @property
    def comes_again(self) -> bool:
        """Whether it is run again, here or elsewhere, if it is cut: then nothing of it is lost."""
        ...

    @property
    def gone(self) -> bool:
        """Whether it is on its way to somebody else, so that it cannot be taken back here."""
        ...

    @property
    def earlier_failures(self) -> int:
        """How many attempts failed before this work, of those that its `Retry` counts."""
        ...

    async def write(self, work: Work) -> None:
        """Writes it down. Raises where that cannot be done: then it is not to run."""
        ...

    def again(self, work: Work, delay: float, error: BaseException) -> bool:
        """Whether somebody else sees to the next attempt, in `delay` seconds. If so, this work is
        over without an outcome. Never raises."""
        ...

    def enter(self, work: Work) -> Verdict:
        """Whether the work may run now. Called before it takes a place under the limit, and again
        when a `wait` is over. Never raises."""
        ...

    def leave(self, work: Work) -> None:
        """The work is over, whether it ran or not. Called once, maybe while `enter` is on its way
        in another thread. Never raises."""
        ...
