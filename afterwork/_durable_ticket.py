"""A call of a durable job that a request made: written down first, run after.

1. It is written before the first byte of the response leaves (`_hold`), or, with `when="sent"` and
   where the response is out already, when its turn comes.
2. Once it is written it is the engine's. Where the engine is this process' own journal and nothing
   else stands in the way, the request runs it itself, right after the response: then the journal's
   ticket takes the place of this one.
3. What is written and not run here is nobody's loss: a worker has it.
"""

from __future__ import annotations

from ._outcome import Outcome
from ._ticket import ELSEWHERE, Plain, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from ._dispatch import Dispatch
    from ._envelope import Envelope
    from ._job import Job
    from ._work import Work

NEW = "new"
WRITTEN = "written"
REFUSED = "refused"
"""The states: a call that could not be written is over, and its caller was told."""


class DurableTicket(Plain):
    """The ticket of one durable call on its way from a request to the engine."""

    __slots__ = ("dispatch", "envelope", "job", "state")

    trigger: Literal["after", "schedule", "http", "manual", "retry"] = "after"
    slot: int | None = None
    delivery: str | None = None
    payload: object = None
    lag_seconds: float | None = None
    token: int | None = None
    last_success_at: float | None = None
    blocks = False
    earlier_attempts = 0

    def __init__(self, dispatch: Dispatch, job: Job[..., Any], envelope: Envelope) -> None:
        self.dispatch = dispatch
        self.job: Job[..., Any] | None = job
        self.envelope = envelope
        self.state = NEW

    @property
    def call_id(self) -> str | None:
        """That of the call, which its client may be told."""
        return self.envelope.id

    @property
    def unwritten(self) -> bool:
        """Whether the engine does not have it yet."""
        return self.state is NEW

    @property
    def admitted(self) -> bool:
        """Its condition was met when it was written."""
        return self.state is WRITTEN

    async def write(self, work: Work) -> None:
        """Gives it to the engine. Raises `StoreError` or `EngineError`."""
        await write_all(self.dispatch, [work])

    def enter(self, work: Work) -> Verdict:
        if self.state is REFUSED:
            return Verdict(outcome=Outcome.CANCELLED)
        return ELSEWHERE

    def leave(self, work: Work) -> None:
        """Nothing is to be taken down: it did not run here."""


async def write_all(dispatch: Dispatch, works: list[Work]) -> None:
    """Gives calls to the engine, all at once. Raises what it raises; then none of them counts."""
    tickets = [work.ticket for work in works if isinstance(work.ticket, DurableTicket)]
    try:
        await dispatch.write(works, [ticket.envelope for ticket in tickets])
    except BaseException:
        for ticket in tickets:
            ticket.state = REFUSED
        raise
    for ticket in tickets:
        ticket.state = WRITTEN
