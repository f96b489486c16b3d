"""A call of a durable job that a request made: written down first, run after.

1. It is written before the first byte of the response leaves (`_hold`), or, with `when="sent"` and
   where the response is out already, when its turn comes.
2. Once it is written it is the engine's. Where the engine is this process' own journal and nothing
   else stands in the way, the request runs it itself, right after the response: then the journal's
   ticket takes the place of this one.
3. What is written and not run here is nobody's loss: a worker has it.
"""

from __future__ import annotations

from . import _events
from ._commit import ROLLED_BACK, Transaction
from ._ticket import ELSEWHERE, Plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal

    from ._dispatch import Dispatch
    from ._envelope import Envelope
    from ._job import Job
    from ._ticket import Verdict
    from ._work import Work

NEW = "new"
WRITING = "writing"
WRITTEN = "written"
REFUSED = "refused"
DROPPED = "dropped"
"""The states: a call that could not be written is over, and its caller was told; one that was
dropped belonged to a transaction that did not commit."""


class DurableTicket(Plain):
    """The ticket of one durable call on its way from a request to the engine."""

    __slots__ = ("dispatch", "envelope", "job", "state", "transaction")

    trigger: Literal["after", "schedule", "http", "manual", "retry"] = "after"
    slot: int | None = None
    delivery: str | None = None
    payload: object = None
    lag_seconds: float | None = None
    token: int | None = None
    last_success_at: float | None = None
    blocks = False
    earlier_attempts = 0

    def __init__(
        self, dispatch: Dispatch, job: Job[..., Any], envelope: Envelope, commit: Any
    ) -> None:
        self.dispatch = dispatch
        self.job: Job[..., Any] | None = job
        self.envelope = envelope
        self.state = NEW
        self.transaction = None if commit is None else Transaction(commit)
        """What it belongs to: it is written only if that is committed."""

    @property
    def call_id(self) -> str | None:
        """That of the call, which its client may be told."""
        return self.envelope.id

    @property
    def unwritten(self) -> bool:
        """Whether the engine does not have it yet."""
        return self.state is NEW

    @property
    def ready(self) -> bool:
        """Whether it may be written now, before the response."""
        return self.state is NEW and (self.transaction is None or self.transaction.counts())

    @property
    def admitted(self) -> bool:
        """Its condition was met when it was written."""
        return self.state is WRITTEN

    @property
    def gone(self) -> bool:
        """From the moment it is being written on."""
        return self.state in (WRITING, WRITTEN)

    async def write(self, work: Work) -> None:
        """Gives it to the engine, once its transaction has committed. Raises `StoreError` or
        `EngineError`."""
        loop = self.dispatch.running_loop()
        if self.transaction is not None and not await self.transaction.decided(loop):
            self.state = DROPPED
            # Its client was told of success, so this one may be a mistake.
            response = None if work.exchange is None else work.exchange.response()
            told = response is not None and response.success
            meant = self.transaction.state is ROLLED_BACK and not told
            _events.emit(
                _events.DEBUG if meant else _events.WARNING,
                "after.withdrawn",
                None,
                job=work.title,
                run_id=self.envelope.id,
                reason=f"its transaction is {self.transaction.state}",
            )
            return
        await write_all(self.dispatch, [work])

    def enter(self, work: Work) -> Verdict:
        return ELSEWHERE

    def leave(self, work: Work) -> None:
        """Nothing is to be taken down: it did not run here."""


async def write_all(dispatch: Dispatch, works: list[Work]) -> None:
    """Gives calls to the engine, all at once. Raises what it raises; then none of them counts."""
    tickets = [work.ticket for work in works if isinstance(work.ticket, DurableTicket)]
    for ticket in tickets:
        ticket.state = WRITING
    try:
        await dispatch.durable.write(works, [ticket.envelope for ticket in tickets])
    except BaseException:
        for ticket in tickets:
            ticket.state = REFUSED
        raise
    for ticket in tickets:
        ticket.state = WRITTEN
