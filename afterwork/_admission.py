"""Asks the tickets: before a work starts, and after it ended.

Stores block, so this happens in a few threads of its own: callbacks that fill all other threads do
not keep a lease from being given back.
"""

from __future__ import annotations

from ._outcome import Outcome
from ._threadless import new_hands
from ._ticket import GO, Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._pipeline import Pipeline
    from ._work import Work

MOST_THREADS = 8


class Admission:
    """The door of one pipeline, for works with a ticket."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.threads = new_hands(MOST_THREADS)

    def enter(self, work: Work) -> None:
        """Starts the work as soon as its ticket lets it, or ends it."""
        if work.ticket is not None and work.ticket.unwritten:
            loop = work.queue.loop
            assert loop is not None, "what is entered is started by a drain"
            loop.background(lambda: self._write(work))
            return
        if not self._blocks(work):
            self._enter(work)
            return
        try:
            self.threads.submit(self._enter, work)
        except RuntimeError as error:  # no thread to be had
            self.pipeline.finish(work, Outcome.FAILED, error, inside=False)

    def decide(self, work: Work, then: Callable[[Work, Verdict], None]) -> None:
        """Asks the ticket, and calls `then` from the loop of the work's queue. A work that may not
        run, or not yet, is asked about again when it is started; one that may is not."""
        try:
            self.threads.submit(lambda work: self._decide(work, then), work)
        except RuntimeError as error:
            then(work, Verdict(outcome=Outcome.FAILED, error=error))

    def leave(self, work: Work) -> None:
        """Tells the ticket that the work is over, then lets the work leave its queue."""
        if self._blocks(work):
            try:
                self.threads.submit(self._leave, work)
                return
            except RuntimeError:
                pass  # no thread to be had: better late than never
        self._leave(work)

    def _blocks(self, work: Work) -> bool:
        return work.ticket is not None and work.ticket.blocks

    async def _write(self, work: Work) -> None:
        assert work.ticket is not None
        try:
            await work.ticket.write(work)
        except Exception as error:
            self.pipeline.finish(work, Outcome.FAILED, error, inside=False)
        else:
            self.enter(work)

    def _enter(self, work: Work) -> None:
        ticket = work.ticket
        assert ticket is not None
        verdict = ticket.enter(work)
        if verdict.elsewhere:
            self.pipeline.part_with(work)
            return
        if verdict.outcome is not None:
            work.cut = verdict.reason
            self.pipeline.finish(work, verdict.outcome, verdict.error, inside=False)
        elif verdict.wait is not None:
            self.pipeline.soon(self._wait, work, verdict.wait)
        else:
            work.entered = True
            self.pipeline.soon(self.pipeline.submit, work)

    def _decide(self, work: Work, then: Callable[[Work, Verdict], None]) -> None:
        ticket = work.ticket
        assert ticket is not None
        verdict = ticket.enter(work)
        work.entered = verdict is GO
        self.pipeline.soon(_call, work, then, verdict)

    def _wait(self, work: Work, seconds: float) -> None:
        assert work.queue.loop is not None
        work.queue.loop.later(seconds, self.enter, work)

    def _leave(self, work: Work) -> None:
        ticket = work.ticket
        assert ticket is not None
        ticket.leave(work)
        self.pipeline.leave(work)


def _call(work: Work, then: Callable[[Work, Verdict], None], verdict: Verdict) -> None:
    then(work, verdict)
